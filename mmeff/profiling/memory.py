"""Memory of a model and of a run. All numbers are MiB, 2**20 bytes."""

import gc
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

MIB = 2**20
WARMUP_RUNS = 2  # the first run searches kernels and needs more than the later ones
RUNS = 3
STATUS, CLEAR = Path('/proc/self/status'), Path('/proc/self/clear_refs')


def weights_mb(model: nn.Module) -> float:
    """Parameters and buffers; a shared tensor counts once."""
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values()) / MIB


def measure_memory(
    run: Callable[[], object], model: nn.Module, device: str | torch.device
) -> dict:
    """Peak memory of a run that is repeated.

    Args:
        run: The region, without arguments.
        model: What `run` runs.
        device: On CUDA the memory of torch's allocator is told, which other libraries
            and the driver's context are not in; on a CPU that of the whole process,
            with Python and all libraries.

    Returns:
        `weights_mb`, `peak_allocated_mb`, `peak_reserved_mb`, `peak_rss_mb`; None for
        what could not be had, with the cause in `reasons`.
    """
    device = torch.device(device)
    for _ in range(WARMUP_RUNS):
        run()
    memory = {
        'weights_mb': weights_mb(model),
        'peak_allocated_mb': None,
        'peak_reserved_mb': None,
        'peak_rss_mb': None,
        'reasons': {},
    }
    if device.type == 'cuda':
        memory.update(_peak_cuda(run, device))
        memory['reasons']['peak_rss_mb'] = 'told of runs on a CPU only'
        return memory
    reason = f'{device} has no allocator of its own, see peak_rss_mb'
    memory['reasons'] = dict.fromkeys(('peak_allocated_mb', 'peak_reserved_mb'), reason)
    try:
        memory['peak_rss_mb'] = _peak_rss(run)
    except OSError as error:
        memory['reasons']['peak_rss_mb'] = (
            f'the kernel does not tell the peak ({error.filename}: {error.strerror})'
        )
    return memory


def _peak_cuda(run: Callable[[], object], device: torch.device) -> dict[str, float]:
    torch.cuda.synchronize(device)
    gc.collect()
    torch.cuda.empty_cache()  # so that blocks of the warm-up are not reserved any more
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(RUNS):
        run()
    torch.cuda.synchronize(device)
    return {
        'peak_allocated_mb': torch.cuda.max_memory_allocated(device) / MIB,
        'peak_reserved_mb': torch.cuda.max_memory_reserved(device) / MIB,
    }


def _peak_rss(run: Callable[[], object]) -> float:
    """Highest resident memory of this process during the runs, as Linux keeps it.

    Raises:
        OSError: This is no Linux, or it does not allow the mark to be reset.
    """
    gc.collect()
    CLEAR.write_text('5')  # sets the high-water mark to what is resident now
    for _ in range(RUNS):
        run()
    for line in STATUS.read_text().splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) / 1024  # kB
    raise OSError(0, 'has no VmHWM', str(STATUS))
