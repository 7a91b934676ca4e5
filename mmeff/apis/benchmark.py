"""Measure what a detector costs: parameters, operations, latency."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import torch
from mmengine.config import Config

from mmeff.apis.config import load_config
from mmeff.apis.detector import build_detector
from mmeff.checkpoints.safe import file_sha256
from mmeff.errors import UserError
from mmeff.profiling.counts import count_operations, count_params
from mmeff.profiling.detector import DetectorRegions, make_batch
from mmeff.profiling.environment import describe_environment, device_name
from mmeff.profiling.latency import Budget, Progress, measure
from mmeff.profiling.precision import torch_settings
from mmeff.profiling.results import read_result, result_name, write_result


def benchmark(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    *,
    shape: tuple[int, int] | None = None,
    image: str | Path | None = None,
    batch: int = 1,
    precision: str = 'fp32',
    threads: int | None = None,
    budget: Budget | None = None,
    device: str | None = None,
    cfg_options: dict | None = None,
    out_dir: str | Path = 'results',
    progress: Progress | None = None,
) -> dict:
    """Measure one detector on one device and write the result as JSON.

    Needs neither a dataset nor, when random weights are good enough, a checkpoint.

    Args:
        config: Config file, name of one of mmeff's, or a config.
        checkpoint: Weights; with random ones the number of boxes means nothing, and
            the time of what follows the network depends on it.
        shape: Height and width of the image; by default those of the test pipeline.
        image: An image file; by default noise.
        batch: Images per run, all the same.
        precision: 'fp32', 'tf32', 'amp-fp16' or 'amp-bf16'.
        threads: Threads on the CPU; torch's own choice by default.
        budget: How long to measure.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.
        cfg_options: Settings of the config to override.
        out_dir: Folder of the result, ``<config>__<device>__<precision>.json``.
        progress: Called after each run.

    Returns:
        The result as in the file, and the file's path under 'file'.

    Raises:
        UserError: An argument does not fit.
    """
    budget = budget or Budget()
    cfg = load_config(config, cfg_options)
    data = make_batch(cfg, shape, image, batch)
    model = build_detector(cfg, checkpoint, device)
    regions = DetectorRegions(model, data, precision)
    with torch_settings(precision, threads):
        metrics = _count(regions, shape)
        latencies = measure(
            {'forward': regions.forward, 'detect': regions.detect},
            regions.device,
            budget,
            progress,
        )
        environment = describe_environment(regions.device)
    for region, latency in latencies.items():
        metrics[f'latency_{region}_ms'] = latency.summary()
    metrics['fps'] = 1000 * batch / latencies['detect'].mean
    name = Path(cfg.filename or 'config').stem
    result = {
        'config': name,
        'config_sha256': hashlib.sha256(cfg.pretty_text.encode()).hexdigest(),
        'checkpoint': None if checkpoint is None else str(checkpoint),
        'checkpoint_sha256': file_sha256(checkpoint),
        'settings': {
            'device': device_name(regions.device),
            'precision': precision,
            'batch': batch,
            'image': None if image is None else str(image),
            'image_shape': regions.image_shape,
            'input_shape': regions.input_shape,
            **asdict(budget),
        },
        'metrics': metrics,
        'samples': {
            f'latency_{region}_ms': latency.rounds_ms
            for region, latency in latencies.items()
        },
        'environment': environment,
    }
    file = result_name(name, result['settings']['device'], precision)
    path = write_result(result, out_dir, file)
    return {**read_result(path), 'file': str(path)}


def _count(regions: DetectorRegions, shape: tuple[int, int] | None) -> dict:
    """What does not depend on time; operations are those of one image.

    Raises:
        UserError: The first run fails, for want of memory or for the shape asked for.
    """
    batch = len(regions.inputs)
    params = count_params(regions.model)
    try:
        forward = count_operations(regions.forward)
        detect = count_operations(regions.detect)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f'out of memory with {batch} images of {_text(regions.image_shape)} pixels; '
            'a smaller --shape or --batch may fit'
        ) from error
    except RuntimeError as error:
        if shape is None:
            raise
        raise UserError(
            f'shape {_text(shape)}: the detector cannot run on it: {error}'
        ) from error
    return {
        'params_m': params.total / 1e6,
        'params_trainable_m': params.trainable / 1e6,
        'macs_g': forward.macs / batch / 1e9,
        'flops_g': forward.flops / batch / 1e9,
        'macs_detect_g': detect.macs / batch / 1e9,
        'uncounted_ops': forward.uncounted,
        'boxes_per_img': regions.boxes_per_img(),
        'proposals_per_img': regions.proposals_per_img(),
    }


def _text(shape: tuple[int, int]) -> str:
    return '{} {}'.format(*shape)
