import pytest
import torch
import torch.nn.functional as F
from mmcv import _ext, ops

import ops_reference as reference


def features_and_masks(kernel_size, group_size, scale_factor):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 4, 3, 4, generator=generator)
    size = (3 * scale_factor, 4 * scale_factor)
    masks = torch.rand(2, group_size * kernel_size**2, *size, generator=generator)
    return features, masks


SETTINGS = [(3, 1, 2), (5, 2, 2), (3, 4, 3), (1, 1, 1)]


@pytest.mark.parametrize('settings', SETTINGS)
def test_carafe_sums_the_weighted_neighbours_of_the_source(settings):
    features, masks = features_and_masks(*settings)
    expected = reference.carafe(features, masks, *settings)
    torch.testing.assert_close(ops.CARAFE(*settings)(features, masks), expected)
    torch.testing.assert_close(ops.CARAFENaive(*settings)(features, masks), expected)


def unfolded_carafe(features, masks, kernel_size, group_size, scale_factor):
    """The same by unfold and interpolate, differentiable by autograd."""
    num, channels, height, width = features.shape
    patches = F.unfold(features, kernel_size, padding=kernel_size // 2)
    patches = patches.view(num, -1, height, width)
    patches = F.interpolate(patches, scale_factor=scale_factor, mode='nearest')
    patches = patches.view(
        num, group_size, channels // group_size, kernel_size**2, *masks.shape[2:]
    )
    kernels = masks.view(num, group_size, 1, kernel_size**2, *masks.shape[2:])
    return (patches * kernels).sum(3).flatten(1, 2)


@pytest.mark.parametrize('settings', SETTINGS)
def test_carafe_gradients_equal_autograds(settings):
    leaves = [x.requires_grad_() for x in features_and_masks(*settings)]
    grads = []
    for upsample in (ops.carafe, unfolded_carafe):
        output = upsample(*leaves, *settings)
        grads.append(torch.autograd.grad(output.square().sum(), leaves))
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected)


def test_carafe_naive_backward_equals_carafe_backward():
    # mmcv's wrapper refuses CPU gradients of the naive form, so it is called directly
    settings = SETTINGS[1]
    leaves = [x.requires_grad_() for x in features_and_masks(*settings)]
    output = ops.carafe(*leaves, *settings)
    expected = torch.autograd.grad(output.sum(), leaves)
    found = [torch.zeros_like(leaf) for leaf in leaves]
    with torch.no_grad():
        _ext.carafe_naive_backward(
            torch.ones_like(output),
            *leaves,
            *found,
            kernel_size=settings[0],
            group_size=settings[1],
            scale_factor=settings[2],
        )
    for mine, other in zip(found, expected, strict=True):
        assert torch.equal(mine, other)


def test_carafe_upsampler_of_mmcv_trains():
    torch.manual_seed(0)
    layer = ops.CARAFEPack(8, scale_factor=2, compressed_channels=4)
    output = layer(torch.randn(1, 8, 5, 6))
    assert output.shape == (1, 8, 10, 12)
    output.square().sum().backward()
    assert all(parameter.grad.any() for parameter in layer.parameters())
