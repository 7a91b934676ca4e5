import torch
from mmcv import ops

import ops_reference as reference
from op_cases import CASES

CASE = next(case for case in CASES if case.name == 'ms_deform_attn')


def test_attention_sums_the_weighted_samples_of_all_levels():
    t = CASE.tensors()
    expected = reference.ms_deform_attn(
        t['value'], t['shapes'], t['locations'], t['weights']
    )
    torch.testing.assert_close(CASE.call(t), expected)


def test_attention_samples_outside_the_map_count_as_zero():
    t = CASE.tensors()
    t['locations'] = t['locations'] * 2 - 0.5
    expected = reference.ms_deform_attn(
        t['value'], t['shapes'], t['locations'], t['weights']
    )
    torch.testing.assert_close(CASE.call(t), expected)


def test_attention_module_of_mmcv_trains():
    torch.manual_seed(0)
    layer = ops.MultiScaleDeformableAttention(
        embed_dims=16, num_heads=2, num_levels=2, num_points=2, batch_first=True
    )
    shapes, starts = torch.tensor([[4, 5], [2, 3]]), torch.tensor([0, 20])
    output = layer(
        torch.randn(2, 5, 16),
        value=torch.randn(2, 26, 16),
        reference_points=torch.rand(2, 5, 2, 2),
        spatial_shapes=shapes,
        level_start_index=starts,
    )
    assert output.shape == (2, 5, 16)
    output.square().sum().backward()
    assert layer.value_proj.weight.grad.any()
    assert layer.sampling_offsets.weight.grad.any()
