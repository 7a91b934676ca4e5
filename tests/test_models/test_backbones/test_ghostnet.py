"""GhostNet: the Ghost module, the maps that it gives, and its weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import find_layout
from mmeff.fidelity import ghostnet
from mmeff.fidelity.check import image, pair, randomise
from mmeff.models import GhostModule, GhostNet
from mmeff.registry import MODELS

# widen_factor: channels of the stem, of the paper's ten groups of blocks.
CHANNELS = {
    0.5: (8, 8, 12, 12, 20, 20, 40, 56, 80, 80, 480),
    1.0: (16, 16, 24, 24, 40, 40, 80, 112, 160, 160, 960),
    1.1: (16, 16, 28, 28, 44, 44, 88, 124, 176, 176, 1056),
    1.3: (20, 20, 32, 32, 52, 52, 104, 144, 208, 208, 1248),
}


def timm_pair() -> tuple[GhostNet, nn.Module]:
    """GhostNet 0.5 and timm's with equal weights, in eval mode."""
    pytest.importorskip('timm')
    ours, theirs = pair(ghostnet.ROWS[0])
    return ours.double().eval(), theirs.double().eval()


# --- the module --------------------------------------------------------------------


def ghost(module: GhostModule, x: torch.Tensor, stride: int) -> torch.Tensor:
    """The module in eval mode, from the paper's equations, channel by channel."""

    def apply(part: nn.Sequential, x, weight, stride, channels=slice(None)):
        norm = part.norm
        y = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        y = y * scale[channels, None, None] + shift[channels, None, None]
        return y.relu() if hasattr(part, 'act') else y

    primary = apply(module.primary, x, module.primary.conv.weight, stride)
    cheap = module.cheap.conv.weight
    per_map = len(cheap) // primary.shape[1]
    maps = [primary]
    for i in range(len(cheap)):
        one = primary[:, i // per_map, None]
        maps.append(apply(module.cheap, one, cheap[i : i + 1], 1, slice(i, i + 1)))
    return torch.cat(maps, dim=1)


@pytest.mark.parametrize(
    ('channels', 'kernel_size', 'stride', 'ratio', 'cheap_kernel_size', 'linear'),
    [
        (32, 1, 1, 2, 3, False),
        (32, 3, 2, 4, 5, True),
        (31, 3, 1, 2, 1, False),  # one ghost too many
        (16, 1, 2, 5, 3, True),  # four too many
    ],
)
def test_module_is_maps_and_filtered_maps_side_by_side(
    channels, kernel_size, stride, ratio, cheap_kernel_size, linear
):
    module = GhostModule(
        8, channels, kernel_size, stride, ratio, cheap_kernel_size, linear
    )
    module = randomise(module).double().eval()
    x = torch.randn(2, 8, 9, 14, dtype=torch.float64)
    y = module(x)
    assert y.shape == (2, channels, -(-9 // stride), -(-14 // stride))
    assert y.is_contiguous()
    assert_close(y, ghost(module, x, stride)[:, :channels])


def test_module_is_about_ratio_times_smaller_than_a_convolution():
    def size(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    for ratio in (2, 4):
        dense = size(nn.Conv2d(256, 256, 3))
        assert 0.95 < dense / size(GhostModule(256, 256, 3, ratio=ratio)) / ratio < 1


def test_module_is_in_the_registry():
    cfg = dict(
        type='mmeff.GhostModule',
        in_channels=4,
        out_channels=6,
        norm_cfg=dict(type='GN', num_groups=3),
        act_cfg=dict(type='SiLU'),
    )
    module = MODELS.build(cfg)
    kinds = {type(part) for part in module.modules()}
    assert {nn.GroupNorm, nn.SiLU} <= kinds
    assert not {nn.BatchNorm2d, nn.ReLU} & kinds


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(ratio=1), 'ratio=1: expected an integer of 2 or more'),
        (dict(ratio=2.5), 'ratio=2.5: expected an integer'),
        (dict(cheap_kernel_size=2), 'cheap_kernel_size=2: expected an odd integer'),
    ],
)
def test_module_says_what_it_expects(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GhostModule(4, 8, **kwargs)


# --- the network -------------------------------------------------------------------


@pytest.mark.parametrize('widen_factor', CHANNELS)
def test_channels_are_rounded_to_multiples_of_four(widen_factor):
    with torch.device('meta'):
        model = GhostNet(widen_factor, out_indices=range(5))
    expected = CHANNELS[widen_factor]
    stem, *first = model.stem
    firsts = [stage[0].ghost2 for stage in model.stages[:4]]
    assert stem.conv.out_channels == expected[0]
    assert [block.ghost2.primary.conv.out_channels * 2 for block in first] == [
        expected[1]
    ]
    assert [part.primary.conv.out_channels * 2 for part in firsts] == list(
        expected[2::2][:4]
    )
    assert model.out_channels == (*expected[3::2][:4], expected[-1])


def test_maps_are_the_last_of_each_stride():
    ours, theirs = timm_pair()
    maps = {}
    for i in (2, 4, 6, 8, 9):
        theirs.blocks[i].register_forward_hook(
            lambda module, args, output, i=i: maps.update({i: output})
        )
    ours.out_indices, ours.head = (0, 1, 2, 3, 4), None
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        theirs(x)
        outputs = ours(x)
    assert [o.shape[1] for o in outputs] == [12, 20, 56, 80, 480]
    assert [tuple(o.shape[2:]) for o in outputs] == [
        (19, 30),
        (10, 15),
        (5, 8),
        (3, 4),
        (3, 4),
    ]
    assert_close(list(outputs), list(maps.values()), rtol=1e-10, atol=1e-10)


def test_gradients_equal_those_of_timm():
    ours, theirs = timm_pair()
    x = image(64, 96, torch.float64)
    for model in (ours.train(), theirs.train()):
        model(x).square().mean().backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    layout = find_layout('GhostNet', gradients, 'timm')
    expected = layout.convert(gradients, ours)
    for key, parameter in ours.named_parameters():
        worst = (parameter.grad - expected.pop(key)).abs().max()
        assert worst <= 1e-10 * max(1, parameter.grad.abs().max()), key
    assert not expected


def test_published_weights_fill_a_backbone_with_fewer_stages(tmp_path):
    ours, theirs = timm_pair()
    path = tmp_path / 'ghostnet.pth'
    torch.save(theirs.float().state_dict(), path)
    backbone = GhostNet(0.5, out_indices=(1, 2)).eval()
    summary = load_backbone_weights(backbone, str(path))
    assert 'official and timm layout' in summary
    assert 'blocks.7.0' in summary  # not used
    ours.float().head, ours.out_indices = None, (1, 2)
    x = image(64, 96)
    assert_close(backbone(x), ours(x), rtol=0, atol=0)
