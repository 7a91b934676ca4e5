"""Pelee's neck against a second implementation; mmdet's neck in its SSDLite form."""

import pytest
import torch
from mmdet.models.necks import SSDNeck
from torch import nn
from torch.nn import functional as F

from mmeff.config import load_config
from mmeff.models import PeleeNeck


def randomised(neck: nn.Module) -> nn.Module:
    """In eval mode, with biases and statistics that a wrong wiring cannot hide behind."""
    torch.manual_seed(0)
    neck.init_weights()
    for name, tensor in neck.state_dict().items():
        if name.endswith(('bias', 'running_mean')):
            tensor.uniform_(-0.5, 0.5)
        elif name.endswith('running_var'):
            tensor.uniform_(0.5, 2)
    return neck.eval()


def reference(state: dict, first, second):
    """Figure 4 in plain functions, by names of tensors."""

    def conv_norm(x, name):
        weight = state[f'{name}.conv.weight']
        x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        norm = [
            state[f'{name}.norm.{key}']
            for key in ('running_mean', 'running_var', 'weight', 'bias')
        ]
        return F.batch_norm(x, *norm, eps=0.001)

    def conv(x, name, **kwargs):
        return F.conv2d(
            x, state[f'{name}.weight'], state[f'{name}.bias'], **kwargs
        ).relu()

    sources = [first, second]
    for i, kwargs in enumerate([{'stride': 2, 'padding': 1}, {}, {}]):
        narrow = conv(sources[-1], f'extras.{i}.0')
        sources.append(conv(narrow, f'extras.{i}.2', **kwargs))
    outputs = []
    for i, x in enumerate(sources):
        y = conv_norm(x, f'blocks.{i}.branch.0').relu()
        y = conv_norm(y, f'blocks.{i}.branch.1').relu()
        y = conv_norm(y, f'blocks.{i}.branch.2')
        outputs.append((y + conv_norm(x, f'blocks.{i}.shortcut')).relu())
    return [outputs[0], *outputs]


def test_pelee_neck_is_the_second_implementation():
    neck = randomised(PeleeNeck((12, 20), 16))
    first, second = torch.randn(2, 12, 19, 19), torch.randn(2, 20, 10, 10)
    kept = first.clone(), second.clone()
    maps = neck((first, second))
    for ours, expected in zip(
        maps, reference(neck.state_dict(), first, second), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert [x.shape[-1] for x in maps] == [19, 19, 10, 5, 3, 1]
    assert first.equal(kept[0])
    assert second.equal(kept[1])


def test_pelee_predicts_twice_from_its_finest_map():
    maps = PeleeNeck((12, 20), 16)(
        (torch.randn(2, 12, 19, 19), torch.randn(2, 20, 10, 10))
    )
    assert maps[0] is maps[1]


def test_pelee_has_norms_in_its_blocks_and_biases_in_its_extras():
    neck = PeleeNeck()
    for extra in neck.extras:
        assert not any(isinstance(m, nn.BatchNorm2d) for m in extra.modules())
        assert extra[0].bias is not None
        assert extra[2].bias is not None
    norms = [m for m in neck.blocks.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 5 * 4
    assert {norm.eps for norm in norms} == {0.001}


@pytest.mark.parametrize(
    ('config', 'maps', 'sides'),
    [
        ('ssdlite320_mobilenetv2_coco', (20, 10), (20, 10, 5, 3, 2, 1)),
        ('ssd300_mobilenetv1_voc', (19, 10), (19, 10, 5, 3, 2, 1)),
    ],
)
def test_extras_of_mmdets_neck_are_those_of_the_paper(config, maps, sides):
    """1x1 to half of the channels, 3x3/2 (depthwise and 1x1 in SSDLite)."""
    settings = load_config(config).model.neck
    lite = settings.pop('use_depthwise', False)
    assert settings.pop('type') == 'SSDNeck'
    neck = SSDNeck(**settings, use_depthwise=lite)
    inputs = [
        torch.randn(2, c, n, n) for c, n in zip(settings.in_channels, maps, strict=True)
    ]
    outputs = neck(inputs)
    assert tuple(x.shape[-1] for x in outputs) == sides
    assert tuple(x.shape[1] for x in outputs) == settings.out_channels
    assert all(a is b for a, b in zip(outputs, inputs, strict=False))
    inner = (256, 128, 128, 64)
    for extra, width in zip(neck.extra_layers, inner, strict=True):
        convs = [m for m in extra.modules() if isinstance(m, nn.Conv2d)]
        assert [m.kernel_size[0] for m in convs] == ([1, 3, 1] if lite else [1, 3])
        assert convs[0].out_channels == width
        assert convs[1].groups == (width if lite else 1)
        assert convs[1].stride == (2, 2)
        assert all(m.bias is None for m in convs)
