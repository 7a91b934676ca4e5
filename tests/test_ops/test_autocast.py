"""bfloat16 on the CPU, where torchvision's kernels have no reduced precision."""

import pytest
import torch
from mmcv import ops

from op_cases import CASES, random_boxes


def float32_of(tensors):
    """What the op sees after rounding its inputs to bfloat16."""
    return {
        name: tensor.bfloat16().float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_bfloat16_is_float32_rounded_once(case):
    tensors = case.tensors(torch.float32)
    rounded = case.run(
        {k: v.bfloat16() if v.is_floating_point() else v for k, v in tensors.items()}
    )
    exact = case.run(float32_of(tensors))
    for found, expected in zip(rounded, exact, strict=True):
        assert found.dtype == torch.bfloat16
        scale = float(expected.abs().max())
        torch.testing.assert_close(
            found.float(), expected, rtol=0.02, atol=0.02 * scale
        )


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_ops_run_under_autocast(case):
    tensors = case.tensors(torch.float32)
    plain = case.run(tensors)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = case.run(tensors)
    for found, expected in zip(mixed, plain, strict=True):
        torch.testing.assert_close(found, expected)


def test_a_convolution_feeds_deform_conv_under_autocast():
    # the offsets come out of a convolution in bfloat16, the features stay float32
    torch.manual_seed(0)
    layer = ops.ModulatedDeformConv2dPack(4, 6, 3, padding=1)
    x = torch.randn(1, 4, 8, 8)
    with torch.autocast('cpu', torch.bfloat16):
        output = layer(x)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), layer(x), rtol=0.05, atol=0.05)
    output.float().square().sum().backward()
    assert layer.conv_offset.weight.grad.any()


def test_nms_decides_the_same_under_autocast():
    boxes, scores = random_boxes(60, 100.0, torch.Generator().manual_seed(0))
    expected = ops.nms(boxes, scores, 0.5)[1]
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(ops.nms(boxes, scores, 0.5)[1], expected)
