import pytest
import torch
import torch.nn.functional as F
from mmcv import ops

import ops_reference as reference

GEOMETRIES = [  # stride, padding, dilation, groups, deform groups
    (1, 1, 1, 1, 1),
    (2, 1, 1, 2, 1),
    (1, 2, 2, 1, 2),
    (1, 0, 1, 2, 4),
]


def tensors(stride, padding, dilation, groups, deform_groups):
    generator = torch.Generator().manual_seed(0)
    height, width = 5, 6
    out_h = (height + 2 * padding - 2 * dilation - 1) // stride + 1
    out_w = (width + 2 * padding - 2 * dilation - 1) // stride + 1
    spatial = (out_h, out_w)
    return {
        'x': torch.randn(2, 4, height, width, generator=generator),
        'offset': torch.randn(2, 18 * deform_groups, *spatial, generator=generator),
        'mask': torch.rand(2, 9 * deform_groups, *spatial, generator=generator),
        'weight': torch.randn(4, 4 // groups, 3, 3, generator=generator),
        'bias': torch.randn(4, generator=generator),
    }


@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_deform_conv_samples_at_the_offsets(geometry):
    t = tensors(*geometry)
    layer = ops.DeformConv2d(4, 4, 3, *geometry)
    layer.weight.data = t['weight']
    expected = reference.deform_conv(
        t['x'], t['offset'], None, t['weight'], *geometry[:4]
    )
    output = layer(t['x'], t['offset'])
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_modulated_deform_conv_weights_each_sample(geometry):
    t = tensors(*geometry)
    layer = ops.ModulatedDeformConv2d(4, 4, 3, *geometry)
    layer.weight.data, layer.bias.data = t['weight'], t['bias']
    expected = reference.deform_conv(
        t['x'], t['offset'], t['mask'], t['weight'], *geometry[:4]
    )
    output = layer(t['x'], t['offset'], t['mask'])
    expected = expected + t['bias'][:, None, None]
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_without_offsets_it_is_a_convolution_with_its_gradients():
    t = tensors(*GEOMETRIES[0])
    zeros, ones = torch.zeros_like(t['offset']), torch.ones_like(t['mask'])
    convolutions = (
        lambda x, w, b: ops.modulated_deform_conv2d(x, zeros, ones, w, b, 1, 1),
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
    )
    results = []
    for convolution in convolutions:
        leaves = [t[k].clone().requires_grad_() for k in ('x', 'weight', 'bias')]
        output = convolution(*leaves)
        results.append([output, *torch.autograd.grad(output.square().sum(), leaves)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_modulated_deform_conv_works_without_bias():
    t = tensors(*GEOMETRIES[0])
    args = (t['x'], t['offset'], t['mask'], t['weight'])
    zero = torch.zeros(4)
    without = ops.modulated_deform_conv2d(*args, None, 1, 1)
    assert torch.equal(without, ops.modulated_deform_conv2d(*args, zero, 1, 1))


def read_flat(values, height, width):
    """The first values of each sample, as mmcv's kernel reads a tensor too large."""
    num = values.size(1)
    return values.flatten(1)[:, : num * height * width].view(-1, num, height, width)


def test_larger_offsets_are_read_flat_as_dyhead_needs():
    t = tensors(*GEOMETRIES[0])
    generator = torch.Generator().manual_seed(1)
    offset = torch.randn(2, 18, 10, 12, generator=generator).requires_grad_()
    mask = torch.rand(2, 9, 10, 12, generator=generator).requires_grad_()
    fitted = read_flat(offset, 5, 6), read_flat(mask, 5, 6)
    results = []
    for pair in ((offset, mask), fitted):
        output = ops.modulated_deform_conv2d(t['x'], *pair, t['weight'], None, 1, 1)
        grads = torch.autograd.grad(output.square().sum(), (offset, mask))
        results.append([output, *grads])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_smaller_offsets_are_refused_with_both_sizes():
    t = tensors(*GEOMETRIES[0])
    offset = t['offset'][:, :, :2]
    with pytest.raises(ValueError, match=r'offset .*\(2, 6\).*\(5, 6\)'):
        ops.modulated_deform_conv2d(t['x'], offset, t['mask'], t['weight'], None, 1, 1)


def test_dcn_layers_of_mmcv_train():
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for layer_type in (ops.DeformConv2dPack, ops.ModulatedDeformConv2dPack):
        layer = layer_type(4, 6, 3, padding=1, deform_groups=2)
        layer(x).square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad.any(), name


@pytest.mark.parametrize('sizes', [((16, 24), (8, 12)), ((17, 25), (9, 13))])
def test_dyhead_of_mmdet_trains(sizes):
    from mmdet.models.necks import DyHead

    torch.manual_seed(0)
    levels = [torch.randn(1, 16, *size) for size in sizes]
    neck = DyHead(16, 16, num_blocks=1)
    outputs = neck(levels)
    assert [tuple(output.shape[2:]) for output in outputs] == list(sizes)
    sum(output.square().sum() for output in outputs).backward()
    assert neck.dyhead_blocks[0].spatial_conv_offset.weight.grad.isfinite().all()
