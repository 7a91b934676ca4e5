"""Multi-scale deformable attention (Deformable DETR, sec. 4.1).

Shapes: value (B, sum of H * W, heads, D); value_spatial_shapes (L, 2) as H, W;
sampling_locations (B, Q, heads, L, P, 2) as x, y in 0..1; attention_weights
(B, Q, heads, L, P); output (B, Q, heads * D).

mmcv calls these for CUDA tensors only, on the CPU it uses grid_sample; so do these.
"""

import torch
from torch import Tensor

from mmeff.ops.precision import widen


def _attend(value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor):
    # here, because mmcv.ops imports this room
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    # as a list: each element of a CUDA tensor would be a round trip to the GPU
    return multi_scale_deformable_attn_pytorch(
        value, shapes.tolist(), locations, weights
    )


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Return the attended values, (B, Q, heads * D)."""
    tensors = widen(value, sampling_locations, attention_weights)
    output = _attend(tensors[0], value_spatial_shapes, *tensors[1:])
    return output.to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients into the three `grad_` tensors."""
    *leaves, grad_output = widen(
        value, sampling_locations, attention_weights, grad_output
    )
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    with torch.enable_grad():
        output = _attend(leaves[0], value_spatial_shapes, *leaves[1:])
    grads = torch.autograd.grad(output, leaves, grad_output)
    targets = (grad_value, grad_sampling_loc, grad_attn_weight)
    for target, grad in zip(targets, grads, strict=True):
        target.copy_(grad)
