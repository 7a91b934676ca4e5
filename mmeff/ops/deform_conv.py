# ruff: noqa: N803  the arguments of version 1 are called kW, padH, gradInput in mmcv
"""Deformable convolution, version 1 (DCN) and 2 (modulated, DCNv2).

Shapes: input (B, C, H, W); weight (O, C / groups, kh, kw); output (B, O, OH, OW);
offset (B, 2 * deform_groups * kh * kw, OH, OW), y before x for each kernel tap;
mask (B, deform_groups * kh * kw, OH, OW), the factor of each tap in version 2.
"""

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

from mmeff.ops.precision import widen


def _version1(input: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mask and bias as torchvision wants them when they are not used."""
    return input.new_zeros(input.size(0), 1), input.new_zeros(weight.size(0))


def _convolve(input: Tensor, *args) -> Tensor:
    # autocast would turn the matrix products inside the kernel to half precision
    with torch.autocast(input.device.type, enabled=False):
        return torch.ops.torchvision.deform_conv2d(input, *args)


def _convolve_backward(grad: Tensor, *args) -> tuple[Tensor, ...]:
    """Gradients of input, weight, offset, mask and bias."""
    with torch.autocast(grad.device.type, enabled=False):
        return torch.ops.torchvision._deform_conv2d_backward(grad, *args)


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the deformable convolution of `input` into `output`."""
    input, weight, offset = widen(input, weight, offset)
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    mask, bias = _version1(input, weight)
    output.copy_(_convolve(input, weight, offset, mask, bias, *geometry, False))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the gradients of input and offset into `gradInput` and `gradOffset`."""
    grad, input, weight, offset = widen(gradOutput, input, weight, offset)
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    mask, bias = _version1(input, weight)
    grads = _convolve_backward(
        grad, input, weight, offset, mask, bias, *geometry, False
    )
    gradInput.copy_(grads[0])
    gradOffset.copy_(grads[2])


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add `scale` times the gradient of the weight to `gradWeight`."""
    # The weight's gradient does not depend on the weight, which mmcv does not pass.
    grad, input, weight, offset = widen(gradOutput, input, gradWeight, offset)
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    mask, bias = _version1(input, weight)
    grads = _convolve_backward(
        grad, input, weight, offset, mask, bias, *geometry, False
    )
    gradWeight.add_(grads[1].to(gradWeight.dtype), alpha=scale)


def _fit(name: str, values: Tensor, output: Tensor) -> Tensor:
    """Give `offset` or `mask` the spatial size of the output.

    mmcv does not check that size: its kernel reads each sample's values one after the
    other as if the sizes agreed. DyHead relies on it, where one level's offsets are
    used on the next, coarser level.

    Args:
        values: (B, N, H, W) with H * W >= OH * OW.
        output: (B, O, OH, OW).

    Returns:
        (B, N, OH, OW): the first N * OH * OW values of each sample.

    Raises:
        ValueError: Too few values.
    """
    height, width = output.shape[2:]
    if values.shape[2:] == (height, width):
        return values
    num_channels, found = values.size(1), tuple(values.shape[2:])
    if found[0] * found[1] < height * width:
        raise ValueError(
            f'{name} of a modulated deformable convolution has the spatial size '
            f'{found}, the output has {(height, width)}: {name} must be as large. '
            'Compute it from a feature map of the size of the output.'
        )
    flat = values.flatten(1)[:, : num_channels * height * width]
    return flat.reshape(-1, num_channels, height, width)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write the modulated deformable convolution of `input` into `output`.

    Raises:
        ValueError: `offset` or `mask` holds too few values for the output.
    """
    offset, mask = _fit('offset', offset, output), _fit('mask', mask, output)
    input, weight, bias, offset, mask = widen(input, weight, bias, offset, mask)
    if not with_bias:
        bias = input.new_zeros(weight.size(0))
    geometry = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    groups = (group, deformable_group, True)
    output.copy_(_convolve(input, weight, offset, mask, bias, *geometry, *groups))


def _write_fitted(target: Tensor, grad: Tensor) -> None:
    """Inverse of `_fit`: the gradient goes to the values that were read."""
    flat = grad.flatten(1).to(target.dtype)
    if target.shape == grad.shape:
        target.copy_(grad)
    else:
        rest = flat.new_zeros(flat.size(0), target[0].numel() - flat.size(1))
        target.copy_(torch.cat((flat, rest), dim=1).view_as(target))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write the gradients of all five inputs into the `grad_` tensors."""
    offset, mask = _fit('offset', offset, grad_output), _fit('mask', mask, grad_output)
    tensors = widen(grad_output, input, weight, offset, mask)
    geometry = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    groups = (group, deformable_group, True)
    bias = tensors[1].new_zeros(weight.size(0))  # its values do not matter here
    grads = _convolve_backward(*tensors, bias, *geometry, *groups)
    grad_input.copy_(grads[0])
    grad_weight.copy_(grads[1])
    _write_fitted(grad_offset, grads[2])
    _write_fitted(grad_mask, grads[3])
    if with_bias:
        grad_bias.copy_(grads[4])
