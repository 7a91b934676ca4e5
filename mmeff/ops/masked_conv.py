"""Convolution at chosen places only, in two steps around a matrix product.

Used by guided anchoring (Wang et al., 2019) at test time. Shapes: im (1, C, H, W);
mask_h_idx and mask_w_idx (M,) places; col (C * kh * kw, M).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Write the patch around each place into a column of `col`; outside `im` it is 0."""
    padded = F.pad(im[0], (pad_w, kernel_w - 1, pad_h, kernel_h - 1))
    rows = mask_h_idx + torch.arange(kernel_h, device=im.device)[:, None]
    columns = mask_w_idx + torch.arange(kernel_w, device=im.device)[:, None]
    patches = padded[:, rows[:, None], columns[None]]  # (C, kh, kw, M)
    col.copy_(patches.flatten(0, 2))


def masked_col2im_forward(
    col: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    im: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Write the columns of `col` (channels, M) to their places in `im`."""
    # cast: under autocast the product is in half precision, its target is not
    im[0, :, mask_h_idx, mask_w_idx] = col.to(im.dtype)
