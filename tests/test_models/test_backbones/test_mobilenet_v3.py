"""MobileNetV3: the maps that it gives, its weights in two forms, and its gradients."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import find_layout
from mmeff.fidelity import mobilenet_v3
from mmeff.fidelity.check import image, pair, randomise, relative_difference
from mmeff.models.backbones import MobileNetV3

ROWS = {row.name: row for row in mobilenet_v3.ROWS}
# Layers of torchvision's `features` after which the stride changes, and the last.
LAST = {'large': (3, 6, 12, 15, 16), 'small': (1, 3, 8, 11, 12)}
CHANNELS = {'large': (24, 40, 112, 160, 960), 'small': (16, 24, 48, 96, 576)}


def torchvision_pair(arch: str) -> tuple[MobileNetV3, nn.Module]:
    ours, theirs = pair(ROWS[f'MobileNetV3-{arch.capitalize()}'])
    return ours.double(), theirs.double()


@pytest.mark.parametrize('arch', LAST)
def test_maps_are_the_last_of_each_stride(arch):
    ours, theirs = torchvision_pair(arch)
    expected = []
    for i in LAST[arch]:
        theirs.features[i].register_forward_hook(
            lambda module, args, out: expected.append(out)
        )
    ours.eval().head, ours.out_indices = None, (0, 1, 2, 3, 4)
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        theirs.eval()(x)
        outputs = ours(x)
    assert tuple(o.shape[1] for o in outputs) == CHANNELS[arch]
    assert_close(list(outputs), expected, rtol=1e-10, atol=1e-10)


def test_ssdlite_gets_the_expansion_at_stride_16_and_the_last_convolution():
    ours, theirs = torchvision_pair('large')
    expected = []
    for module in (theirs.features[13].block[0], theirs.features[16]):
        module.register_forward_hook(lambda m, args, out: expected.append(out.clone()))
    model = MobileNetV3('large', out_indices=(2, 4), expansion_taps=(2,)).double()
    model.load_state_dict(
        {k: v for k, v in ours.state_dict().items() if k in model.state_dict()}
    )
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        theirs.eval()(x)
        outputs = model.eval()(x)
    assert model.out_channels == (672, 960)
    assert_close(list(outputs), expected, rtol=1e-10, atol=1e-10)


def test_gradients_equal_those_of_torchvision():
    ours, theirs = torchvision_pair('small')
    x = image(64, 96, torch.float64)
    for model in (ours.train(), theirs.train()):
        model(x).square().mean().backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    layout = find_layout('MobileNetV3', gradients, 'torchvision')
    expected = layout.convert(gradients, ours)
    for key, parameter in ours.named_parameters():
        worst = (parameter.grad - expected.pop(key)).abs().max()
        assert worst <= 1e-10 * parameter.grad.abs().max(), key
    assert not expected


@pytest.mark.parametrize(
    ('name', 'kwargs'),
    [
        ('mobilenetv3_large_100', dict(norm_cfg=dict(type='BN'))),
        ('mobilenetv3_small_100', dict(arch='small', norm_cfg=dict(type='BN'))),
        (
            'tf_mobilenetv3_large_075',
            dict(widen_factor=0.75, conv_cfg=dict(type='Conv2dAdaptivePadding')),
        ),
        (
            'tf_mobilenetv3_small_100',
            dict(arch='small', conv_cfg=dict(type='Conv2dAdaptivePadding')),
        ),
    ],
)
def test_weights_of_timm_give_the_outputs_of_timm(name, kwargs, tmp_path):
    timm = pytest.importorskip('timm')
    theirs = randomise(timm.create_model(name)).eval()
    path = str(tmp_path / 'timm.pth')
    torch.save(theirs.state_dict(), path)
    ours = MobileNetV3(**kwargs, num_classes=1000).eval()
    assert 'timm layout' in load_backbone_weights(ours, path)
    ours, theirs = ours.double(), theirs.double()
    with torch.no_grad():
        for size in ((64, 96), (75, 117)):
            x = image(*size, torch.float64)
            assert relative_difference(ours(x), theirs(x)) <= 1e-12


def test_weights_fill_a_backbone_with_fewer_stages(tmp_path):
    timm = pytest.importorskip('timm')
    for theirs in (
        torchvision_pair('small')[1].float(),
        timm.create_model('mobilenetv3_small_100'),
    ):
        path = str(tmp_path / 'small.pth')
        torch.save(theirs.state_dict(), path)
        summary = load_backbone_weights(MobileNetV3('small', out_indices=(1,)), path)
        assert 'of the file not used' in summary


def test_norms_are_those_of_the_paper_unless_others_are_asked_for():
    def norms(**kwargs) -> set:
        model = MobileNetV3('small', **kwargs)
        found = (m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
        return {(m.eps, m.momentum) for m in found}

    assert norms() == {(1e-3, 0.01)}
    assert norms(norm_cfg=dict(type='BN')) == {(1e-5, 0.1)}


def test_one_activation_can_take_the_place_of_both():
    model = MobileNetV3('small', act_cfg=dict(type='ReLU'), num_classes=2)
    assert not any(isinstance(m, nn.Hardswish) for m in model.modules())
