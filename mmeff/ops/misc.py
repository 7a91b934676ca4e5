"""Box overlaps, version strings, and the answer to ops that are not served."""

from collections.abc import Callable
from functools import partial

import torch
import torchvision
from torch import Tensor


def bbox_overlaps(
    bboxes1: Tensor,
    bboxes2: Tensor,
    ious: Tensor,
    mode: int,
    aligned: bool,
    offset: int,
) -> None:
    """Write the overlaps of two sets of boxes into `ious`.

    Args:
        bboxes1: (M, 4) as x1, y1, x2, y2.
        bboxes2: (N, 4); M == N when aligned.
        ious: Output, (M,) when aligned, else (M, N).
        mode: 0 for intersection over union, 1 for intersection over the first box.
        aligned: Compare row by row instead of all with all.
        offset: Added to every width and height (1 for boxes in whole pixels).
    """
    first = bboxes1 if aligned else bboxes1[:, None]
    top_left = torch.maximum(first[..., :2], bboxes2[..., :2])
    bottom_right = torch.minimum(first[..., 2:], bboxes2[..., 2:])
    overlap = (bottom_right - top_left + offset).clamp(min=0).prod(-1)
    union = (first[..., 2:] - first[..., :2] + offset).prod(-1)
    if mode == 0:
        area2 = (bboxes2[..., 2:] - bboxes2[..., :2] + offset).prod(-1)
        union = union + area2 - overlap
    ious.copy_(overlap / union)


def get_compiler_version() -> str:
    """Shown by collect_env; nothing was compiled, so the serving library is named."""
    return f'none (mmeff serves mmcv.ops with torchvision {torchvision.__version__})'


def get_compiling_cuda_version() -> str:
    """CUDA version that torchvision's kernels were built with, as in '13.0'."""
    version = torch.ops.torchvision._cuda_version()
    if version < 0:
        return 'not available'
    return f'{version // 1000}.{version % 1000 // 10}'


def _raise_unserved(name: str, *args, **kwargs):
    raise NotImplementedError(
        f'mmcv op {name!r} is not available: mmcv was installed without its compiled '
        'extension, and mmeff serves only the ops that mmdet needs (listed in '
        'docs/ops.md). Install a compiled mmcv (the package `mmcv` instead of '
        '`mmcv-lite`, built for this PyTorch); mmeff then steps aside.'
    )


def unserved_op(name: str) -> Callable:
    """Stand-in for an op that nobody serves: it raises only when it is called.

    Raises:
        AttributeError: For names with a leading underscore, which Python itself and
            debuggers probe modules for.
    """
    if name.startswith('_'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute {name!r}")
    return partial(_raise_unserved, name)
