"""MobileNetV1: the maps that it gives, its scaling, and its gradients."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import find_layout
from mmeff.fidelity import mobilenet_v1
from mmeff.fidelity.check import image, pair, randomise, relative_difference
from mmeff.models.backbones import MobileNetV1

ROWS = {row.name: row for row in mobilenet_v1.ROWS}


def timm_pair() -> tuple[MobileNetV1, nn.Module]:
    pytest.importorskip('timm')
    ours, theirs = pair(ROWS['MobileNetV1 1.0'])
    return ours.double(), theirs.double()


def test_maps_are_the_last_of_each_stride():
    ours, theirs = timm_pair()
    expected = []
    for row in theirs.blocks[1:]:
        row.register_forward_hook(lambda module, args, out: expected.append(out))
    ours.eval().head, theirs = None, theirs.eval()
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        theirs(x)
        outputs = ours(x)
    assert [tuple(o.shape[1:]) for o in outputs] == [
        (128, 19, 30),
        (256, 10, 15),
        (512, 5, 8),
        (1024, 3, 4),
    ]
    assert_close(list(outputs), expected, rtol=1e-10, atol=1e-10)


def test_gradients_equal_those_of_timm():
    ours, theirs = timm_pair()
    x = image(64, 96, torch.float64)
    for model in (ours.train(), theirs.train()):
        model(x).square().mean().backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    expected = find_layout('MobileNetV1', gradients, 'timm').convert(gradients, ours)
    for key, parameter in ours.named_parameters():
        worst = (parameter.grad - expected.pop(key)).abs().max()
        assert worst <= 1e-10 * parameter.grad.abs().max(), key
    assert not expected


def test_depth_is_multiplied_in_each_row_of_equal_units_and_rounded_up():
    with torch.device('meta'):
        model = MobileNetV1(widen_factor=1.2, depth_factor=1.4)
    stem, *units = model.stem
    rows = [units, *model.stages]
    assert [len(row) for row in rows] == [2, 3, 3, 9, 3]
    assert stem.conv.out_channels == 40
    assert [row[-1].pointwise.conv.out_channels for row in rows] == [
        80,
        152,
        304,
        616,
        1232,
    ]
    assert model.out_channels == (152, 304, 616, 1232)


def test_compound_scaling_gives_the_network_that_timm_scales(tmp_path):
    efficientnet = pytest.importorskip('timm.models.efficientnet')
    theirs = efficientnet._gen_mobilenet_v1('mobilenetv1_100', 1.2, 1.4)
    path = str(tmp_path / 'scaled.pth')
    torch.save(randomise(theirs).state_dict(), path)
    ours = MobileNetV1(widen_factor=1.2, depth_factor=1.4, num_classes=1000)
    assert 'timm layout' in load_backbone_weights(ours, path)
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        difference = relative_difference(
            ours.double().eval()(x), theirs.double().eval()(x)
        )
    assert difference <= 1e-12


def test_activation_of_the_caffe_detectors_replaces_every_relu6():
    activations = (nn.ReLU, nn.ReLU6)

    def kinds(**kwargs) -> set[type]:
        model = MobileNetV1(0.25, **kwargs)
        return {type(m) for m in model.modules() if isinstance(m, activations)}

    assert kinds() == {nn.ReLU6}
    assert kinds(act_cfg=dict(type='ReLU')) == {nn.ReLU}


@pytest.mark.parametrize('name', ['widen_factor', 'depth_factor'])
def test_factors_must_be_positive(name):
    with pytest.raises(ValueError, match=f'{name}=0.*expected numbers above 0'):
        MobileNetV1(**{name: 0})
