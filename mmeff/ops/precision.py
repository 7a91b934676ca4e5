"""The number format the kernels compute in.

torchvision's CPU kernels know float32 and float64, its CUDA kernels no bfloat16.
Computing in float32 and rounding once at the end serves every device and is never less
exact than mmcv's half precision kernels.
"""

import torch
from torch import Tensor


def widen(*tensors: Tensor) -> list[Tensor]:
    """Bring all tensors to float64 if one of them has it, else to float32."""
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return [tensor.to(torch.float64 if double else torch.float32) for tensor in tensors]
