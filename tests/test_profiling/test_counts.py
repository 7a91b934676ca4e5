"""Counts against those done by hand and against torchvision's published ones."""

import pytest
import torch
import torchvision
from torch import nn

from mmeff.profiling.counts import count_operations, count_params


def _macs(layer: nn.Module, *shape: int) -> int:
    return count_operations(lambda: layer(torch.zeros(shape))).macs


def test_macs_equal_those_done_by_hand():
    # output elements x weights that each of them needs
    assert _macs(nn.Conv2d(3, 8, 3, padding=1), 1, 3, 10, 12) == 8 * 120 * 27
    assert _macs(nn.Conv2d(3, 8, 3, stride=2), 2, 3, 9, 9) == 2 * 8 * 16 * 27
    assert _macs(nn.Conv2d(8, 8, 3, padding=1, groups=8), 1, 8, 5, 5) == 8 * 25 * 9
    assert _macs(nn.Conv2d(8, 4, 1, groups=2), 1, 8, 5, 5) == 4 * 25 * 4
    assert _macs(nn.Linear(7, 5), 3, 7) == 3 * 5 * 7
    # of a transposed one: input elements x weights that each of them meets
    assert _macs(nn.ConvTranspose2d(8, 4, 2, 2), 1, 8, 6, 6) == 8 * 36 * 4 * 4


def test_layers_without_matrix_products_count_nothing_and_are_named():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    )
    counted = count_operations(lambda: net.eval()(torch.zeros(1, 3, 4, 4)))
    assert counted.macs == 3 * 4 * 16
    assert counted.flops == 2 * counted.macs
    assert counted.uncounted['aten::relu'] == 1
    assert any('batch_norm' in name for name in counted.uncounted)
    assert any('max_pool' in name for name in counted.uncounted)
    assert 'aten::convolution' not in counted.uncounted


def test_deformable_convolution_is_named_as_uncounted():
    layer = torchvision.ops.DeformConv2d(3, 4, 3)
    image, offset = torch.zeros(1, 3, 8, 8), torch.zeros(1, 18, 6, 6)
    counted = count_operations(lambda: layer(image, offset))
    assert counted.uncounted['torchvision::deform_conv2d'] == 1


def test_shared_parameters_count_once_and_buffers_do_not():
    first = nn.Conv2d(4, 4, 3)  # 4 * 4 * 9 + 4
    net = nn.Sequential(first, nn.BatchNorm2d(4), first)  # 2 * 4 in the norm layer
    params = count_params(net)
    assert params.total == params.trainable == 148 + 8
    first.requires_grad_(False)
    assert count_params(net).trainable == 8
    assert count_params(net).total == 156


@pytest.mark.parametrize('name', ['resnet18', 'mobilenet_v2', 'regnet_y_400mf'])
def test_counts_equal_the_published_ones(name):
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    net = torchvision.models.get_model(name).eval()
    counted = count_operations(lambda: net(torch.zeros(1, 3, 224, 224)))
    assert count_params(net).total == published['num_params']
    assert counted.macs / 1e9 == pytest.approx(published['_ops'], abs=0.0006)
