import pytest
import torch
import torchvision
from mmcv import ops

import ops_reference as reference
from op_cases import random_rois


def features_and_rois():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 9, 11, generator=generator)
    return features, random_rois(8, 2, 32, generator).float()


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_align_averages_bilinear_samples(aligned, sampling_ratio):
    features, rois = features_and_rois()
    layer = ops.RoIAlign((3, 2), 0.25, sampling_ratio, aligned=aligned)
    settings = ((3, 2), 0.25, sampling_ratio, aligned)
    expected = reference.roi_align(features, rois, *settings)
    torch.testing.assert_close(layer(features, rois), expected)


@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_and_its_gradient_equal_torchvision(aligned):
    features, rois = features_and_rois()
    grads = []
    for roi_align in (ops.roi_align, torchvision.ops.roi_align):
        leaf = features.clone().requires_grad_()
        if roi_align is ops.roi_align:
            output = roi_align(leaf, rois, (7, 7), 0.25, 0, 'avg', aligned)
        else:
            output = roi_align(leaf, rois, (7, 7), 0.25, 0, aligned)
        grads.append(torch.autograd.grad(output.square().sum(), leaf)[0])
    assert torch.equal(*grads)


def test_roi_align_without_rois_is_empty():
    features, rois = features_and_rois()
    assert ops.RoIAlign(7)(features, rois[:0]).shape == (0, 3, 7, 7)


def test_roi_align_takes_bfloat16_features_with_float32_rois():
    features, rois = features_and_rois()
    layer = ops.RoIAlign((3, 2), 0.25, 2)
    output = layer(features.bfloat16(), rois)
    assert output.dtype == torch.bfloat16
    expected = layer(features.bfloat16().float(), rois).bfloat16()
    assert torch.equal(output, expected)


def test_roi_align_with_max_pooling_says_what_to_do():
    features, rois = features_and_rois()
    with pytest.raises(NotImplementedError, match="pool_mode='avg'"):
        ops.RoIAlign(7, pool_mode='max')(features, rois)


@pytest.mark.parametrize('scale', [0.25, 0.3, 1.0])
def test_roi_pool_takes_the_maximum_of_mmcvs_bins(scale):
    features, rois = features_and_rois()
    expected = reference.roi_pool(features, rois, (3, 2), scale)
    assert torch.equal(ops.RoIPool((3, 2), scale)(features, rois), expected)


def test_roi_pool_does_not_round_the_roi_as_torchvision_does():
    features, rois = features_and_rois()
    rounded = torchvision.ops.roi_pool(features, rois, (3, 2), 0.25)
    assert not torch.allclose(ops.RoIPool((3, 2), 0.25)(features, rois), rounded)


def test_roi_pool_sends_each_gradient_to_the_maximum():
    features, rois = features_and_rois()
    grads = []
    for pool in (ops.roi_pool, reference.roi_pool):
        leaf = features.clone().requires_grad_()
        output = pool(leaf, rois, (3, 2), 0.25)
        weights = torch.linspace(-1, 1, output.numel()).view_as(output)
        grads.append(torch.autograd.grad(output, leaf, weights)[0])
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize(
    'roi', [[0, 200, 200, 240, 240], [0, 22, 4, 20, 24], [0, -90, -90, -50, -50]]
)
def test_roi_pool_of_an_empty_roi_is_zero_without_gradient(roi):
    features, _ = features_and_rois()
    leaf = (features + 10).requires_grad_()
    output = ops.roi_pool(leaf, torch.tensor([roi], dtype=torch.float32), (2, 2), 0.25)
    assert not output.any()
    assert not torch.autograd.grad(output.sum(), leaf)[0].any()
