"""RoIAlign (Mask R-CNN, sec. 3) and RoIPool (Fast R-CNN, sec. 2.1).

Shapes: input (B, C, H, W); rois (R, 5) as image index, x1, y1, x2, y2 in image pixels;
output (R, C, PH, PW).
"""

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

from mmeff.ops.precision import widen

AVG_POOL = 1


def _require_avg(pool_mode: int) -> None:
    if pool_mode != AVG_POOL:
        raise NotImplementedError(
            "RoIAlign with pool_mode='max' has no kernel in torchvision. Set "
            "pool_mode='avg' (the default), or install a compiled mmcv."
        )


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the averages of bilinear samples in each bin into `output`.

    Args:
        spatial_scale: Feature pixels per image pixel.
        sampling_ratio: Samples per bin and side; 0 for as many as feature pixels.
        pool_mode: 1 for the average, the only one served.
        aligned: Shift by half a pixel, so that pixel centres are at whole numbers.

    Raises:
        NotImplementedError: For max pooling.
    """
    _require_avg(pool_mode)
    input, rois = widen(input, rois)
    pooled = torch.ops.torchvision.roi_align(
        input,
        rois,
        spatial_scale,
        aligned_height,
        aligned_width,
        sampling_ratio,
        aligned,
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient of `roi_align_forward` for `input` into `grad_input`."""
    _require_avg(pool_mode)
    grad_output, rois = widen(grad_output, rois)
    grad = torch.ops.torchvision._roi_align_backward(
        grad_output,
        rois,
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )
    grad_input.copy_(grad)


def _edges(
    start: Tensor, end: Tensor, num_bins: int, limit: int
) -> tuple[Tensor, Tensor]:
    """First pixel and one past the last pixel of each bin, (R, num_bins) floats."""
    size = ((end - start) / num_bins)[:, None]
    position = torch.arange(num_bins, device=start.device, dtype=start.dtype)
    low = (position * size + start[:, None]).floor().clamp(0, limit)
    high = ((position + 1) * size + start[:, None]).ceil().clamp(0, limit)
    return low, high


def _bins_as_rois(
    rois: Tensor, spatial_scale: float, bins: tuple[int, int], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The bins of all RoIs as RoIs of their own.

    mmcv keeps the fraction of a RoI's corners and widens each bin to whole pixels;
    torchvision rounds the corners before it divides. A RoI with whole corners and one
    bin is the same to both, so torchvision's kernel can pool mmcv's bins.

    Args:
        rois: (R, 5).
        spatial_scale: Feature pixels per image pixel.
        bins: (PH, PW).
        size: (H, W) of the features.

    Returns:
        Bins (R * PH * PW, 5) in whole feature pixels, both ends included, and which of
        them hold no pixel (R * PH * PW, 1).
    """
    x1, y1 = rois[:, 1] * spatial_scale, rois[:, 2] * spatial_scale
    x2, y2 = (rois[:, 3] + 1) * spatial_scale, (rois[:, 4] + 1) * spatial_scale
    top, bottom = _edges(y1, y2, bins[0], size[0])
    left, right = _edges(x1, x2, bins[1], size[1])
    index = rois[:, 0, None, None]
    parts = (index, left[:, None], top[..., None], right[:, None], bottom[..., None])
    image, left, top, right, bottom = torch.broadcast_tensors(*parts)
    inverted = ((x2 <= x1) | (y2 <= y1))[:, None, None]
    empty = (right <= left) | (bottom <= top) | inverted
    boxes = torch.stack((image, left, top, right - 1, bottom - 1), dim=-1)
    return boxes.reshape(-1, 5), empty.reshape(-1, 1)


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Write the maximum of each bin into `output` and its place into `argmax`.

    Args:
        argmax: (R, C, PH, PW) int32, y * W + x of the maximum; -1 in empty bins, whose
            output is 0.
        spatial_scale: Feature pixels per image pixel.
    """
    input, rois = widen(input, rois)
    bins = (pooled_height, pooled_width)
    boxes, empty = _bins_as_rois(rois, spatial_scale, bins, input.shape[2:])
    pooled, place = torch.ops.torchvision.roi_pool(input, boxes, 1.0, 1, 1)
    shape = (rois.size(0), *bins, input.size(1))
    pooled = pooled.flatten(1).masked_fill(empty, 0)
    place = place.flatten(1).masked_fill(empty, -1)
    output.copy_(pooled.view(shape).permute(0, 3, 1, 2))
    argmax.copy_(place.view(shape).permute(0, 3, 1, 2))


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Write into `grad_input` the gradients, each at the maximum of its bin."""
    grad_output, rois = widen(grad_output, rois)
    # of the RoIs this kernel reads the image index only; the places are in argmax
    grad = torch.ops.torchvision._roi_pool_backward(
        grad_output,
        rois,
        argmax,
        spatial_scale,
        pooled_height,
        pooled_width,
        *grad_input.shape,
    )
    grad_input.copy_(grad)
