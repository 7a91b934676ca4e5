"""The same detector, run faster."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from torch import nn

from mmeff.deploy.backends import Settings, backend
from mmeff.deploy.exported import ExportedNetworks
from mmeff.deploy.parts import split
from mmeff.deploy.postprocess import speed_up
from mmeff.deploy.preprocess import speed_up_preprocessor
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch

ON_ONNX = ('onnxruntime', 'openvino', 'tensorrt')


def optimize(
    model: nn.Module,
    name: str = 'torch',
    *,
    precision: str = 'fp32',
    threads: int | None = None,
    dynamic: bool | None = None,
    data: dict | None = None,
    exported: str | Path | None = None,
) -> nn.Module:
    """A copy of a detector whose networks are run by a backend.

    Everything else is as before: `test_step`, `cfg`, `dataset_meta`; so mmdet's
    `inference_detector` and mmeff's tools take it in place of the detector. It cannot be
    trained.

    Args:
        model: Detector in eval mode, on its device, with its config as `cfg`.
        name: One of `mmeff.deploy.backends.BACKENDS`.
        precision: 'fp32', 'bf16' or 'fp16'.
        threads: Of an operator on a CPU; torch's own choice by default.
        dynamic: Whether sizes of images or batches vary; by default they do unless the
            test pipeline resizes all images to one size. A fixed size is faster, and a
            batch is then run image by image.
        data: A batch as a test dataloader gives it, of the size to optimise for; by
            default a synthetic image of the test pipeline's size.
        exported: What `mmeff.deploy.export` wrote, for the backends that run ONNX: it is
            run in place of exporting the networks again.

    Raises:
        UserError: The backend, or the detector with it, cannot be used.
    """
    settings = Settings(next(model.parameters()).device, precision, threads)
    module = backend(name)
    reason = module.missing(settings)
    if reason:
        raise UserError(f'backend {name}: {reason}')
    if exported is not None and name not in ON_ONNX:
        raise UserError(f'backend {name} runs no ONNX files; use {", ".join(ON_ONNX)}')
    if dynamic is None:
        dynamic = not has_fixed_size(model.cfg)
    model = copy.deepcopy(model).requires_grad_(False)
    speed_up_preprocessor(model)
    data = make_batch(model.cfg) if data is None else data
    images = model.data_preprocessor(copy.deepcopy(data), False)['inputs']
    networks = None if exported is None else ExportedNetworks(exported)
    classes = (getattr(model, 'dataset_meta', None) or {}).get('classes', ())
    with torch.no_grad():
        parts = split(model, images)
        for part in parts:
            if networks is not None:
                part = networks.fit(part, classes, dynamic)
            part.install(module.build(part, settings, dynamic or part.on_rois))
    speed_up(model)
    if name in ON_ONNX and settings.device.type == 'cpu' and len(parts) == 1:
        model.predict = _in_one_thread(model.predict)
    return model


def _in_one_thread(predict: Callable) -> Callable:
    """`predict` with torch in one thread, for the other runtime has its own.

    Threads of torch keep spinning after their few microseconds of work and hold the cores
    that the network wants: SSDLite took 20 ms instead of 12 on two cores.
    """

    def run(*args, **kwargs):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return predict(*args, **kwargs)
        finally:
            torch.set_num_threads(threads)

    return run


def has_fixed_size(cfg: Config) -> bool:
    """Whether the test pipeline resizes all images to the same size."""
    return any(
        str(step['type']).endswith('Resize') and not step.get('keep_ratio', False)
        for step in get_test_pipeline_cfg(cfg)
    )
