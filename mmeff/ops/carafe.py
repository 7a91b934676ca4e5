"""CARAFE, content-aware upsampling (Wang et al., 2019, sec. 3.1).

Each output pixel is the sum of the k x k pixels around its source, weighted by a kernel
of its own. Shapes: features (N, C, H, W); masks (N, G * k * k, s * H, s * W) for G
groups of channels; output (N, C, s * H, s * W).
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mmeff.ops.precision import widen


def _by_source(tensor: Tensor, group_size: int, scale_factor: int) -> Tensor:
    """(N, D, s * H, s * W) -> (N, G, s, s, D / G, H, W).

    Source pixels last: each step below then runs over contiguous memory.
    """
    split = tensor.unflatten(1, (group_size, -1))
    split = split.unflatten(4, (-1, scale_factor)).unflatten(3, (-1, scale_factor))
    return split.permute(0, 1, 4, 6, 2, 3, 5).contiguous()


def _to_pixels(tensor: Tensor) -> Tensor:
    """Inverse of `_by_source`."""
    whole = tensor.permute(0, 1, 4, 5, 2, 6, 3)
    return whole.flatten(5, 6).flatten(3, 4).flatten(1, 2)


def _padded(features: Tensor, kernel_size: int, group_size: int) -> Tensor:
    """(N, G, 1, 1, C / G, H + k - 1, W + k - 1) with zeros around."""
    padded = F.pad(features, (kernel_size // 2,) * 4)
    return padded.unflatten(1, (group_size, 1, 1, -1))


def _taps(padded: Tensor, kernel_size: int) -> Iterator[Tensor]:
    """The k * k views (N, G, 1, 1, C / G, H, W) into padded features, row by row."""
    height = padded.size(5) - kernel_size + 1
    width = padded.size(6) - kernel_size + 1
    for y in range(kernel_size):
        for x in range(kernel_size):
            yield padded[..., y : y + height, x : x + width]


def carafe_naive_forward(
    features: Tensor,
    masks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the upsampled features into `output`."""
    features, masks = widen(features, masks)
    kernels = _by_source(masks, group_size, scale_factor)
    padded = _padded(features, kernel_size, group_size)
    total = padded.new_zeros(())
    for index, tap in enumerate(_taps(padded, kernel_size)):
        total = torch.addcmul(total, tap, kernels[..., index : index + 1, :, :])
    output.copy_(_to_pixels(total))


def carafe_naive_backward(
    top_grad: Tensor,
    features: Tensor,
    masks: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the gradients of features and masks into `bottom_grad`, `mask_grad`."""
    top_grad, features, masks = widen(top_grad, features, masks)
    grad = _by_source(top_grad, group_size, scale_factor)
    kernels = _by_source(masks, group_size, scale_factor)
    padded = _padded(features, kernel_size, group_size)
    grad_padded, grad_kernels = torch.zeros_like(padded), torch.empty_like(kernels)
    taps = zip(_taps(padded, kernel_size), _taps(grad_padded, kernel_size), strict=True)
    for index, (tap, grad_tap) in enumerate(taps):
        kernel = kernels[..., index : index + 1, :, :]
        grad_kernels[..., index, :, :] = (grad * tap).sum(4)
        grad_tap += (grad * kernel).sum((2, 3), keepdim=True)
    border, (height, width) = kernel_size // 2, features.shape[2:]
    inner = grad_padded[..., border : border + height, border : border + width]
    bottom_grad.copy_(inner.flatten(1, 4))
    mask_grad.copy_(_to_pixels(grad_kernels))


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the upsampled features into `output`.

    Args:
        rfeatures: All that the backward gets of the features: a copy of them.
    """
    rfeatures.copy_(features)
    carafe_naive_forward(features, masks, output, kernel_size, group_size, scale_factor)


def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Write the gradients of features and masks into `bottom_grad`, `mask_grad`."""
    carafe_naive_backward(
        top_grad,
        rfeatures,
        masks,
        bottom_grad,
        mask_grad,
        kernel_size,
        group_size,
        scale_factor,
    )
