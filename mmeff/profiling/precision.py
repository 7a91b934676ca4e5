"""Number formats of a run, and the settings of torch that go with them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmeff.errors import UserError

# name -> (TensorFloat-32 allowed, type of automatic mixed precision or None)
PRECISIONS = {
    'fp32': (False, None),
    'tf32': (True, None),
    'amp-fp16': (False, torch.float16),
    'amp-bf16': (False, torch.bfloat16),
}


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a device can be measured at a precision.

    Raises:
        UserError: Unknown name, or one that only CUDA devices have.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f'precision {precision!r}: expected one of {", ".join(PRECISIONS)}'
        )
    if device.type != 'cuda' and precision in ('tf32', 'amp-fp16'):
        raise UserError(
            f'precision {precision} needs a CUDA device, this is {device}; '
            'use fp32 or amp-bf16'
        )


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Context of one run: automatic mixed precision if `precision` asks for it."""
    dtype = PRECISIONS[precision][1]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


@contextmanager
def torch_settings(precision: str, threads: int | None = None) -> Iterator[None]:
    """Settings of torch for the time of a measurement, restored afterwards.

    TensorFloat-32 is on or off as `precision` says (torch's own default has it on for
    convolutions, which is not fp32), and cuDNN tries its kernels, for shapes are fixed.

    Args:
        precision: A key of `PRECISIONS`.
        threads: Threads of an operator on the CPU; torch's own choice if None.

    Raises:
        UserError: `threads` is less than 1.
    """
    if threads is not None and threads < 1:
        raise UserError(f'threads={threads}: expected 1 or more')
    tf32 = PRECISIONS[precision][0]
    cublas, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = cublas.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    threads_before = torch.get_num_threads()
    try:
        cublas.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = tf32, tf32, True
        torch.set_num_threads(threads or threads_before)
        yield
    finally:
        cublas.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
        torch.set_num_threads(threads_before)
