"""The matrix products and the copy that show what a device is capable of."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mmeff.profiling.latency import Budget, measure

LONG_MS = 10.0  # a product of this length is not held back by its launch
SMALLEST, LARGEST = 256, 8192  # rows of a matrix
MIN_COPY, MAX_COPY = 2**28, 2**30  # bytes
CPUS = Path('/sys/devices/system/cpu')


def product(
    size: int, device: torch.device, dtype: torch.dtype
) -> Callable[[], Tensor]:
    """A product of two random matrices with `size` rows and columns."""
    generator = torch.Generator(device).manual_seed(0)
    factors = torch.randn(2, size, size, device=device, generator=generator).to(dtype)
    return partial(torch.mm, *factors, out=torch.empty_like(factors[0]))


def product_sizes(device: torch.device, dtype: torch.dtype) -> list[int]:
    """Up to three sizes, the last of which keeps the device busy for `LONG_MS`."""
    three_runs = Budget(rounds=3, min_runs=1, min_seconds=0, max_seconds=0)
    sizes = [SMALLEST]
    while sizes[-1] < LARGEST:
        run = product(sizes[-1], device, dtype)
        if measure({'product': run}, device, three_runs)['product'].min >= LONG_MS:
            break
        sizes.append(2 * sizes[-1])
    return sizes[-3:]


def copy(num_bytes: int, device: torch.device) -> Callable[[], Tensor]:
    """A copy of so many bytes within the device, which reads and writes each once."""
    source = torch.ones(num_bytes, dtype=torch.uint8, device=device)
    return partial(torch.zeros_like(source).copy_, source)


def copy_bytes(device: torch.device) -> int:
    """Bytes to copy: far more than the caches hold."""
    return min(max(4 * _cache_bytes(device), MIN_COPY), MAX_COPY)


def _cache_bytes(device: torch.device) -> int:
    """Size of the last level of cache, all of them together; 0 if it is not told."""
    if device.type == 'cuda':
        return torch.cuda.get_device_properties(device).L2_cache_size
    sizes = {}
    for cache in CPUS.glob('cpu[0-9]*/cache/index*'):
        try:
            level, size, cpus = (
                (cache / name).read_text().strip()
                for name in ('level', 'size', 'shared_cpu_list')
            )
            sizes[int(level), cpus] = int(size.removesuffix('K')) * 1024
        except (OSError, ValueError):
            continue  # virtual machines leave some of it out
    last = max((level for level, _ in sizes), default=0)
    return sum(size for (level, _), size in sizes.items() if level == last)
