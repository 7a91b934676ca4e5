"""VoVNet: published counts, its forms, its grids."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmeff.models.backbones.vovnet import ARCHS, VoVNet

# arch: parameters without and with the 1000-class layer, GMACs at 224x224 (v1: with
# that layer, v2: without), counted on the authors' PyTorch code.
COUNTS = {
    '27-slim': (3_012_736, 3_525_736, 2.1767),
    '39': (21_575_296, 22_600_296, 7.0722),
    '57': (35_615_296, 36_640_296, 8.9301),
    'v2-19-slim-dw': (1_384_752, 1_897_752, 0.3976),
    'v2-19-slim': (2_653_136, 3_166_136, 1.6797),
    'v2-19-dw': (5_518_080, 6_543_080, 1.3325),
    'v2-19': (10_180_416, 11_205_416, 4.1209),
    'v2-39': (25_184_128, 26_209_128, 7.0748),
    'v2-57': (41_454_912, 42_479_912, 8.9350),
    'v2-99': (69_523_520, 70_548_520, 16.4945),
}
# GMACs of the Caffe form without classifier: side of the image -> value.
CAFFE_GMACS = {
    '27-slim': {224: 2.8698, 300: 5.098, 320: 5.857, 512: 14.99},
    '39': {224: 7.7648, 300: 13.579, 320: 15.847, 512: 40.57},
    '57': {224: 9.6228, 300: 16.651, 320: 19.638, 512: 50.27},
}


def num_params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_meta(arch: str, **kwargs) -> VoVNet:
    with torch.device('meta'):
        return VoVNet(arch, **kwargs).eval()


def gmacs(model: nn.Module, side: int) -> float:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.empty(1, 3, side, side, device='meta'))
    return counter.get_total_flops() / 2e9


# --- counts ------------------------------------------------------------------------


@pytest.mark.parametrize('arch', ARCHS)
def test_counts_match_the_authors_code(arch):
    features, classifier, published_gmacs = COUNTS[arch]
    backbone, whole = on_meta(arch), on_meta(arch, num_classes=1000)
    assert num_params(backbone) == features
    assert num_params(whole) == classifier
    counted = backbone if ARCHS[arch].v2 else whole
    assert round(gmacs(counted, 224), 4) == published_gmacs


@pytest.mark.parametrize('arch', CAFFE_GMACS)
def test_caffe_form_has_the_same_parameters_and_the_papers_macs(arch):
    model = on_meta(arch, form='caffe')
    assert num_params(model) == COUNTS[arch][0]
    for side, expected in CAFFE_GMACS[arch].items():
        digits = len(str(expected).split('.')[1])
        assert round(gmacs(model, side), digits) == expected


@pytest.mark.parametrize(
    ('arch', 'expected'),
    [('v2-39', 24_568_936), ('v2-57', 38_608_936), ('v2-99', 63_199_272)],
)
def test_timm_form_has_ese_only_in_the_last_module_of_a_stage(arch, expected):
    model = on_meta(arch, form='timm', num_classes=1000)
    assert num_params(model) == expected
    for stage in model.stages:
        *others, last = [m.ese for name, m in stage.named_children() if name != 'pool']
        assert others == [None] * len(others)
        assert last is not None


# --- the backbone's contract -------------------------------------------------------


@pytest.mark.parametrize('form', ['pytorch', 'caffe'])
@pytest.mark.parametrize(
    ('side', 'grids'),
    [
        (32, (8, 4, 2, 1)),
        (224, (56, 28, 14, 7)),
        (300, (75, 37, 18, 9)),
        (320, (80, 40, 20, 10)),
        (333, (84, 42, 21, 10)),
    ],
)
def test_grids_round_up_as_in_caffe(form, side, grids):
    if form == 'caffe' and side == 333:
        grids = (83, 41, 20, 10)
    model = on_meta('27-slim', form=form)
    outputs = model(torch.empty(1, 3, side, side, device='meta'))
    assert tuple(o.shape[-1] for o in outputs) == grids
    assert tuple(o.shape[1] for o in outputs) == model.out_channels
    assert model.out_strides == (4, 8, 16, 32)


def test_init_weights_draws_he_normal_convolutions_and_unit_norms():
    model = VoVNet('v2-19-slim')
    model.init_weights()
    weight = model.stages[3].osa1.aggregate.conv.weight
    assert weight.std().item() == pytest.approx((2 / weight.shape[0]) ** 0.5, rel=0.02)
    assert (model.stages[3].osa1.ese.fc.bias == 0).all()


# --- the way in --------------------------------------------------------------------


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'arch': '40'}, "arch='40': expected one of 27-slim, 39, 57, v2-19-slim-dw"),
        ({'arch': '39', 'form': 'mxnet'}, 'exists as pytorch, caffe, timm'),
        ({'arch': 'v2-39', 'form': 'caffe'}, 'exists as pytorch, timm'),
    ],
)
def test_wrong_arguments_say_what_is_expected(kwargs, message):
    with pytest.raises(ValueError, match=message):
        on_meta(**kwargs)


def test_arch_may_be_an_int():
    assert num_params(on_meta(57)) == COUNTS['57'][0]


def test_mmdet_builds_it_without_importing_mmeff():
    code = (
        'import mmdet.registry as r\n'
        "m = r.MODELS.build(dict(type='mmeff.VoVNet', arch='39'))\n"
        'print(type(m).__name__, m.out_channels)'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith('VoVNet (256, 512, 768, 1024)\n')
