"""MobileNetV2: maps inside of blocks for SSDLite, its weights, and its gradients."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import find_layout
from mmeff.fidelity import mobilenet_v2
from mmeff.fidelity.check import image, pair, randomise, relative_difference
from mmeff.models.backbones import MobileNetV2

ROWS = {row.name: row for row in mobilenet_v2.ROWS}


def torchvision_pair(widen_factor: float) -> tuple[MobileNetV2, nn.Module]:
    ours, theirs = pair(ROWS[f'MobileNetV2 {widen_factor}'])
    return ours.double(), theirs.double()


def as_backbone(classifier: MobileNetV2, **kwargs) -> MobileNetV2:
    """A backbone of width 1 with the weights of a classifier."""
    model = MobileNetV2(**kwargs).double().eval()
    model.load_state_dict(
        {k: v for k, v in classifier.state_dict().items() if k in model.state_dict()}
    )
    return model


def test_ssdlite_gets_the_expansion_of_block_13_and_the_last_convolution():
    ours, theirs = torchvision_pair(1.0)
    expected = []
    for module in (theirs.features[14].conv[0], theirs.features[18]):
        # A copy, because torchvision's next layers may write into it.
        module.register_forward_hook(lambda m, args, out: expected.append(out.clone()))
    model = as_backbone(ours, out_indices=(2, 4), expansion_taps=(2,))
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        theirs.eval()(x)
        outputs = model(x)
    assert model.out_channels == (576, 1280)
    assert model.out_strides == (16, 32)
    assert [tuple(o.shape[1:]) for o in outputs] == [(576, 5, 8), (1280, 3, 4)]
    assert_close(list(outputs), expected, rtol=1e-10, atol=1e-10)


def test_taps_replace_their_own_maps_only():
    ours, _ = torchvision_pair(1.0)
    plain = as_backbone(ours, out_indices=range(5))
    tapped = as_backbone(ours, out_indices=range(5), expansion_taps=(0, 1, 2))
    x = image(64, 96, torch.float64)
    with torch.no_grad():
        before, after = plain(x), tapped(x)
    assert plain.out_channels == (24, 32, 96, 320, 1280)
    assert tapped.out_channels == (144, 192, 576, 320, 1280)
    assert [o.shape[1] for o in after] == list(tapped.out_channels)
    assert [o.shape[2:] for o in after] == [o.shape[2:] for o in before]
    assert_close(after[3:], before[3:], rtol=0, atol=0)
    with torch.no_grad():
        expanded = tapped.stages[2][0].expand(before[1])
    assert_close(after[1], expanded, rtol=0, atol=0)


def test_tapped_block_trains_through_both_ways():
    model = MobileNetV2(0.35, out_indices=(2, 4), expansion_taps=(2,), with_cp=True)
    model.train()
    sum(o.square().mean() for o in model(image(64, 96))).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_gradients_equal_those_of_torchvision():
    ours, theirs = torchvision_pair(0.35)
    x = image(64, 96, torch.float64)
    for model in (ours.train(), theirs.train()):
        model(x).square().mean().backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    layout = find_layout('MobileNetV2', gradients, 'torchvision')
    expected = layout.convert(gradients, ours)
    for key, parameter in ours.named_parameters():
        worst = (parameter.grad - expected.pop(key)).abs().max()
        assert worst <= 1e-10 * parameter.grad.abs().max(), key
    assert not expected


@pytest.mark.parametrize(
    ('name', 'widen_factor'), [('mobilenetv2_035', 0.35), ('mobilenetv2_140', 1.4)]
)
def test_weights_of_timm_give_the_outputs_of_timm(name, widen_factor, tmp_path):
    timm = pytest.importorskip('timm')
    theirs = randomise(timm.create_model(name)).eval()
    path = str(tmp_path / 'timm.pth')
    torch.save(theirs.state_dict(), path)
    ours = MobileNetV2(widen_factor, num_classes=1000).eval()
    assert 'loaded 262/262 tensors' in load_backbone_weights(ours, path)
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        assert relative_difference(ours.double()(x), theirs.double()(x)) <= 1e-12


@pytest.mark.parametrize(
    ('out_indices', 'taps', 'possible'),
    [
        ((0, 1, 2, 3), (3,), r'\[0, 1, 2\]'),  # nothing expands the last map
        ((1, 3), (2,), r'\[1\]'),  # not returned
        ((2, 4), (4,), r'\[2\]'),
        ((2,), (2,), r'\[\]'),  # the next stage is not built
    ],
)
def test_taps_that_do_not_exist_name_those_that_do(out_indices, taps, possible):
    message = rf'expansion_taps=\({taps[0]},\): expected stages out of {possible}'
    with pytest.raises(ValueError, match=message):
        MobileNetV2(0.35, out_indices=out_indices, expansion_taps=taps)
