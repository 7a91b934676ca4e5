"""CaffeResNet and ReducedVGG against torchvision's layers, changed as Caffe has them."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torchvision.models import resnet50, vgg16

from mmeff.fidelity.check import image, randomise
from mmeff.models.backbones import CaffeResNet, ReducedVGG


@pytest.mark.parametrize('bias', [False, True])
@torch.no_grad()
def test_resnet_has_the_maps_of_torchvision_with_its_strides_moved(bias):
    theirs = randomise(resnet50(weights=None)).double().eval()
    theirs.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    for layer in (theirs.layer2, theirs.layer3, theirs.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    if bias:
        theirs.conv1.bias = nn.Parameter(torch.randn(64, dtype=torch.float64))
    ours = CaffeResNet(50, conv1_bias=bias, out_indices=(1, 2, 3)).double()
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    ours.eval()  # mmdet returns nothing
    assert not missing
    assert unexpected == ['fc.weight', 'fc.bias']
    x = image(75, 117, torch.float64)
    expected, y = [], theirs.maxpool(theirs.bn1(theirs.conv1(x)).relu())
    for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        expected.append(y := layer(y))
    assert_close(list(ours(x)), expected[1:], rtol=1e-9, atol=1e-9)
    assert ours.out_channels == (512, 1024, 2048)
    assert ours.out_strides == (8, 16, 32)


def test_resnet_trains_its_norms_and_freezes_the_bias_with_the_stem():
    model = CaffeResNet(50, conv1_bias=True, frozen_stages=0)
    model.train()
    assert not model.conv1.bias.requires_grad
    assert not model.bn1.training
    assert model.layer1[0].bn1.training


@torch.no_grad()
def test_vgg_has_the_maps_of_torchvision_and_goes_on_to_stride_32():
    features = vgg16(weights=None).features
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
    ours = ReducedVGG().double()
    ours.init_weights()
    features.double().load_state_dict(
        {
            key.removeprefix('features.'): value
            for key, value in ours.state_dict().items()
            if int(key.split('.')[1]) < 30
        }
    )
    x = image(75, 117, torch.float64)
    conv4, conv5 = features[:23](x), features[:30](x)
    state = ours.state_dict()
    fc6 = nn.functional.conv2d(
        features(x), state['features.31.weight'], state['features.31.bias'], 1, 3, 3
    ).relu()
    fc7 = nn.functional.conv2d(
        fc6, state['features.33.weight'], state['features.33.bias']
    ).relu()
    outputs = ours(x)
    assert_close(list(outputs), [conv4, conv5, fc7], rtol=1e-9, atol=1e-9)
    assert [tuple(y.shape[1:]) for y in outputs] == [
        (512, 10, 15),
        (512, 5, 8),
        (1024, 3, 4),
    ]
