"""VoVNet: published counts, and what a detector asks of a backbone."""

import copy
import itertools
import pickle
import subprocess
import sys

import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from mmeff.models.backbones.vovnet import ARCHS, VoVNet

GN = {'type': 'GN', 'num_groups': 32, 'requires_grad': True}

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


def varied(arch: str, **kwargs) -> VoVNet:
    """A network in eval mode whose norms are not the identity."""
    model = VoVNet(arch, **kwargs).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        model(torch.rand(2, 3, 64, 64))
    return model.eval()


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
    for stage in model._stages():
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


def test_any_subset_of_stages_equals_the_full_network_and_trains_whole():
    full = varied('27-slim')
    x = torch.rand(2, 3, 64, 64)
    expected = full(x)
    subsets = [s for n in (1, 2, 3) for s in itertools.combinations(range(4), n)]
    for subset in subsets:
        model = VoVNet('27-slim', out_indices=subset).eval()
        model.load_state_dict(
            {k: v for k, v in full.state_dict().items() if k in model.state_dict()}
        )
        outputs = model(x)
        assert_close(outputs, tuple(expected[i] for i in subset), rtol=0, atol=0)
        assert model.out_channels == tuple(full.out_channels[i] for i in subset)
        assert model.out_strides == tuple(4 * 2**i for i in subset)
        sum(o.mean() for o in outputs).backward()
        assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('frozen_stages', range(-1, 4))
def test_frozen_stages_keep_weights_and_statistics(frozen_stages):
    model = VoVNet('27-slim', frozen_stages=frozen_stages).eval().train()
    parts = ['stem', 'stage2', 'stage3', 'stage4', 'stage5']
    frozen = tuple(f'{part}.' for part in parts[: frozen_stages + 1])
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    sum(o.square().mean() for o in model(torch.rand(2, 3, 64, 64))).backward()
    optimizer.step()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith(frozen), key


def test_all_stages_can_be_frozen():
    model = VoVNet('27-slim', frozen_stages=4, num_classes=5)
    trained = [key for key, p in model.named_parameters() if p.requires_grad]
    assert trained == ['classifier.weight', 'classifier.bias']


def test_norm_eval_keeps_statistics_but_trains_weights():
    model = VoVNet('27-slim', norm_eval=True).train()
    before = copy.deepcopy(model.state_dict())
    sum(o.mean() for o in model(torch.rand(2, 3, 64, 64))).backward()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('arch', ['39', 'v2-19-slim-dw'])
def test_checkpointing_keeps_outputs_and_gradients(arch):
    plain = varied(arch).double().train()
    saving = VoVNet(arch, with_cp=True).double().train()
    saving.load_state_dict(plain.state_dict())
    start = int(saving.stage2.osa1.aggregate.bn.num_batches_tracked)
    x = torch.rand(2, 3, 32, 48).double()
    for model in (plain, saving):
        sum(o.square().mean() for o in model(x)).backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        assert_close(a.grad, b.grad)
    # Seen twice: this pass really went through the checkpoint.
    assert saving.stage2.osa1.aggregate.bn.num_batches_tracked == start + 2


def test_group_norm_trains_on_one_image():
    model = VoVNet('39', norm_cfg=GN).train()
    model.init_weights()
    outputs = model(torch.rand(1, 3, 64, 64))
    sum(o.square().mean() for o in outputs).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())


def test_group_norm_that_does_not_divide_says_which_number_does():
    with pytest.raises(ValueError, match=r'\[80, 112\].*num_groups=16 divides all'):
        VoVNet('27-slim', norm_cfg=GN)
    on_meta('27-slim', norm_cfg={**GN, 'num_groups': 16})
    on_meta('27-slim', norm_cfg=GN, out_indices=(0,))


def test_sync_batch_norm_builds_with_the_keys_of_batch_norm():
    model = VoVNet('v2-19-slim-dw', norm_cfg={'type': 'SyncBN'}).eval()
    plain = varied('v2-19-slim-dw')
    model.load_state_dict(plain.state_dict())
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in model.modules()) == 22
    x = torch.rand(2, 3, 64, 64)
    assert_close(model(x), plain(x))


@pytest.mark.parametrize('duplicate', [copy.deepcopy, 'pickle', 'state_dict', 'init'])
def test_copies_give_the_same_outputs(duplicate, tmp_path):
    model = varied('v2-19-slim', frozen_stages=1)
    path = tmp_path / 'vovnet.pth'
    torch.save(model.state_dict(), path)
    if duplicate == 'pickle':
        other = pickle.loads(pickle.dumps(model))
    elif duplicate == 'state_dict':
        other = VoVNet('v2-19-slim')
        other.load_state_dict(torch.load(path, weights_only=True))
    elif duplicate == 'init':
        init_cfg = {'type': 'Pretrained', 'checkpoint': str(path)}
        other = VoVNet('v2-19-slim', init_cfg=init_cfg)
        other.init_weights()
    else:
        other = duplicate(model)
    x = torch.rand(2, 3, 64, 64)
    assert_close(other.eval()(x), model(x), rtol=0, atol=0)


def test_init_weights_draws_he_normal_convolutions_and_unit_norms():
    model = varied('v2-19-slim')
    model.init_weights()
    weight = model.stage5.osa1.aggregate.conv.weight
    assert weight.std().item() == pytest.approx((2 / weight.shape[0]) ** 0.5, rel=0.02)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in norms)
    assert (model.stage5.osa1.ese.fc.bias == 0).all()


def test_channels_last_goes_through_the_whole_network():
    model = varied('v2-19-slim-dw').double()
    x = torch.rand(2, 3, 64, 64).double()
    expected = model(x)
    outputs = model.to(memory_format=torch.channels_last)(
        x.contiguous(memory_format=torch.channels_last)
    )
    assert_close(outputs, expected)
    for output in outputs[:3]:
        assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('arch', ['27-slim', 'v2-19-slim-dw'])
def test_norms_fold_into_convolutions(arch):
    model = varied(arch).double()
    fused = fuse_conv_bn(copy.deepcopy(model))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    x = torch.rand(2, 3, 64, 64).double()
    assert_close(fused(x), model(x))


# --- the way in and the way out ----------------------------------------------------


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'arch': '40'}, "arch='40': expected one of 27-slim, 39, 57, v2-19-slim-dw"),
        ({'arch': '39', 'form': 'mxnet'}, 'exists as pytorch, caffe, timm'),
        ({'arch': 'v2-39', 'form': 'caffe'}, 'exists as pytorch, timm'),
        ({'arch': '39', 'out_indices': (1, 4)}, r'\(4, 8, 16, 32\).*\(256, 512, 768'),
        ({'arch': '39', 'out_indices': (2, 1)}, 'expected increasing indices'),
        ({'arch': '39', 'out_indices': (1, 1)}, 'expected increasing indices'),
        ({'arch': '39', 'out_indices': ()}, 'expected increasing indices'),
        ({'arch': '39', 'out_indices': (1,), 'num_classes': 5}, 'a classifier needs 3'),
        ({'arch': '39', 'frozen_stages': 5}, 'frozen_stages=5: expected -1 to 4'),
        ({'arch': '39', 'frozen_stages': 2, 'out_indices': (0,)}, 'expected -1 to 1'),
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


@pytest.mark.parametrize('arch', ['27-slim', 'v2-19-slim-dw'])
def test_compiles_to_one_graph(arch):
    model = varied(arch).double()
    x = torch.rand(2, 3, 64, 64).double()
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    with torch.no_grad():
        assert_close(compiled(x), model(x))


@pytest.mark.parametrize('arch', ['27-slim', 'v2-19-slim-dw'])
def test_onnx_gives_the_same_outputs(arch, tmp_path):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    runtime = pytest.importorskip('onnxruntime')
    model = varied(arch)
    x = torch.rand(2, 3, 75, 64)
    path = str(tmp_path / 'vovnet.onnx')
    torch.onnx.export(model, (x,), path, dynamo=True, input_names=['image'])
    session = runtime.InferenceSession(path, providers=['CPUExecutionProvider'])
    outputs = [torch.from_numpy(o) for o in session.run(None, {'image': x.numpy()})]
    assert_close(outputs, list(model(x)), rtol=1e-3, atol=1e-4)
