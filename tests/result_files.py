"""Result files as the tools write them, made by hand."""

import json
from pathlib import Path

from mmeff.profiling.results import SCHEMA_VERSION

LAYERS = (
    # name, op, MACs (M), activations (M), memory access (M), groups, kernel, time (ms)
    ('backbone.stem.0', 'convolution', 120.0, 1.6, 1.8, 1, [3, 3], 0.9),
    ('backbone.stage1.0', 'convolution', 900.0, 1.6, 3.3, 1, [3, 3], 2.1),
    ('backbone.stage1.1', 'convolution', 15.0, 1.6, 3.2, 64, [3, 3], 1.4),
    ('neck.lateral', 'convolution', 200.0, 0.4, 0.9, 1, [1, 1], 0.6),
    ('bbox_head.cls', 'linear', 12.0, 0.01, 1.2, 1, [], 0.2),
)
PEAK, BANDWIDTH = 1500.0, 60.0  # GFLOP/s, GB/s


def benchmark(
    config: str = 'net',
    *,
    weights: str | None = 'a' * 64,
    device: str = 'NVIDIA H100 80GB HBM3',
    precision: str = 'fp32',
    batch: int = 1,
    latency_ms: float = 10.0,
    settings: dict | None = None,
    **metrics,
) -> dict:
    """Content of a benchmark's file; `metrics` and `settings` replace the defaults."""
    on_cpu = device == 'cpu'
    return {
        'schema_version': SCHEMA_VERSION,
        'config': config,
        'config_sha256': 'c' * 64,
        'checkpoint': None if weights is None else f'{config}.pth',
        'checkpoint_sha256': weights,
        'settings': {
            'device': device,
            'precision': precision,
            'batch': batch,
            'image': None,
            'image_shape': [320, 320],
            'input_shape': [320, 320],
            'backend': 'mmdet',
            'channels_last': False,
            'fuse_conv_bn': False,
            'compile': False,
            'regions': ['forward', 'detect'],
            'rounds': 3,
            'min_runs': 200,
            'min_seconds': 10.0,
            'max_seconds': 60.0,
            **(settings or {}),
        },
        'metrics': {**_metrics(latency_ms, batch, on_cpu), **metrics},
        'parts': _parts(),
        'layers': [_layer(*layer) for layer in LAYERS],
        'roofline': {
            'peak_gflops_per_s': PEAK,
            'bandwidth_gb_per_s': BANDWIDTH,
            'precision': precision,
            'method': 'largest matrix product and copy',
            'ridge_flop_per_byte': PEAK / BANDWIDTH,
            'bound_ms': 2.6,
            'share': 0.325,
        },
        'samples': {'latency_detect_ms': [[latency_ms] * 3] * 3},
        'environment': {
            'timestamp': '2026-11-22T12:00:00+00:00',
            'packages': {'torch': '2.14.1', 'mmcv': None},
            'cpu': 'AMD EPYC 9B14',
            'torch_threads': 2,
            'gpu': None if on_cpu else device,
        },
    }


def evaluation(config: str = 'net', weights: str = 'a' * 64, **metrics) -> dict:
    """Content of a `metrics.json`; accuracies by COCO's short names, 0 to 1."""
    return {
        'schema_version': SCHEMA_VERSION,
        'config': config,
        'checkpoint': f'{config}.pth',
        'checkpoint_sha256': weights,
        'metrics': {f'coco/{name}': value for name, value in metrics.items()},
    }


def write(folder: Path, **contents) -> Path:
    """Write each content to `<name>.json` below a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f'{name}.json').write_text(json.dumps(content), 'utf-8')
    return folder


def _metrics(latency_ms: float, batch: int, on_cpu: bool) -> dict:
    forward = 0.8 * latency_ms
    memory = 'peak_rss_mb' if on_cpu else 'peak_allocated_mb'
    absent = 'peak_allocated_mb' if on_cpu else 'peak_rss_mb'
    return {
        'params_m': 3.5,
        'params_trainable_m': 3.4,
        'macs_g': 1.247,
        'flops_g': 2.494,
        'macs_detect_g': 1.247,
        'activations_m': 5.21,
        'memory_access_m': 10.4,
        'elementwise_access_m': 21.0,
        'uncounted_ops': {'aten::grid_sampler_2d': 3},
        'arithmetic_intensity': 119.9,
        'boxes_per_img': 12.0,
        'proposals_per_img': None,
        'latency_forward_ms': _latency(forward),
        'latency_detect_ms': _latency(latency_ms),
        'latency_pipeline_ms': None,
        'fps': 1000 * batch / latency_ms,
        'gflops_per_s': 2.494 * batch / forward * 1000,
        'weights_mb': 13.4,
        memory: 250.0,
        absent: None,
        'energy_j_per_img': None if on_cpu else 0.35 * latency_ms,
        'throttled': None if on_cpu else False,
        'throttle_reasons': [],
        'reasons': {
            'latency_pipeline_ms': 'no image file was given',
            absent: 'of other devices only',
            'energy_j_per_img': 'no energy counter: /sys/class/powercap is empty',
        },
    }


def _latency(mean: float) -> dict:
    return {
        'n': 600,
        'mean': mean,
        'median': 0.98 * mean,
        'p90': 1.1 * mean,
        'p99': 1.3 * mean,
        'std': 0.05 * mean,
        'min': 0.9 * mean,
        'max': 1.5 * mean,
        'round_medians': [mean] * 3,
        'spread_percent': 0.8,
        'warmup_runs': 60,
        'warmup_stable': True,
    }


def _parts() -> list[dict]:
    names = ('backbone', 'neck', 'bbox_head')
    shares = ((0.6, 0.83, 0.9, 6.0), (0.1, 0.16, 0.06, 1.2), (0.3, 0.01, 0.04, 0.8))
    return [
        {
            'name': name,
            'params_m': 3.5 * params,
            'macs_g': 1.247 * macs,
            'activations_m': 5.21 * access,
            'memory_access_m': 10.4 * access,
            'elementwise_access_m': 21 * access,
            'latency_ms': time,
        }
        for name, (params, macs, access, time) in zip(names, shares, strict=True)
    ]


def _layer(name, op, macs, activations, access, groups, kernel, time) -> dict:
    compute_ms = 2 * macs / PEAK
    memory_ms = 4 * access / BANDWIDTH
    bound_ms = max(compute_ms, memory_ms)
    return {
        'name': name,
        'op': op,
        'calls': 1,
        'macs_m': macs,
        'activations_m': activations,
        'memory_access_m': access,
        'output_shape': [1, 64, 80, 80],
        'depthwise': groups > 1,
        'groups': groups,
        'kernel': kernel,
        'time_ms': time,
        'bound': 'compute' if compute_ms > memory_ms else 'memory',
        'bound_ms': bound_ms,
        'share': bound_ms / time,
    }
