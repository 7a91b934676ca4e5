"""VoVNet's outputs against timm's and against a reference written from the papers."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmeff.checkpoints.layouts import find_layout
from mmeff.errors import UserError
from mmeff.fidelity import check
from mmeff.fidelity.check import randomise
from mmeff.models.backbones.vovnet import ARCHS, VoVNet

TIMM_NAMES = {
    '39': 'vovnet39a',
    '57': 'vovnet57a',
    'v2-19-slim-dw': 'ese_vovnet19b_slim_dw',
    'v2-19-slim': 'ese_vovnet19b_slim',
    'v2-19-dw': 'ese_vovnet19b_dw',
    'v2-19': 'ese_vovnet19b',
    'v2-39': 'ese_vovnet39b',
    'v2-57': 'ese_vovnet57b',
    'v2-99': 'ese_vovnet99b',
}


def image(*size: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return check.image(*size, dtype=dtype)


def largest_difference(ours, theirs) -> float:
    """Over the largest absolute value of the reference, so that scale is no matter."""
    return max(
        ((a - b).abs().max() / b.abs().max()).item()
        for a, b in zip(ours, theirs, strict=True)
    )


# --- parity with timm --------------------------------------------------------------


def from_timm(state: dict, model: VoVNet) -> dict:
    """Our names for the tensors of a timm VoVNet."""
    return find_layout('VoVNet', state, 'timm').convert(state, model)


def pair_with_timm(arch: str):
    timm = pytest.importorskip('timm.models.vovnet')
    # By configuration and not by name: timm registers no model for ese_vovnet19b.
    config = timm.model_cfgs[TIMM_NAMES[arch]]
    theirs = randomise(timm.VovNet(config, num_classes=10)).double()
    ours = VoVNet(arch, form='timm', num_classes=10).double()
    ours.load_state_dict(from_timm(theirs.state_dict(), ours))
    return ours, theirs


def features_and_logits(ours: VoVNet, theirs: nn.Module, x: torch.Tensor):
    """Both networks' four stages and logits, from one forward pass of each."""
    found = []
    hooks = [
        stage.register_forward_hook(lambda m, args, out: found.append(out))
        for stage in (*ours.stages, *theirs.stages)
    ]
    logits = ours(x), theirs(x)
    for hook in hooks:
        hook.remove()
    return [*found[:4], logits[0]], [*found[4:], logits[1]]


@pytest.mark.parametrize('arch', TIMM_NAMES)
def test_outputs_equal_timm(arch):
    ours, theirs = pair_with_timm(arch)
    for mode, size in itertools.product((False, True), ((64, 48), (75, 53))):
        ours.train(mode)
        theirs.train(mode)
        with torch.no_grad():
            outputs = features_and_logits(ours, theirs, image(*size))
        assert largest_difference(*outputs) < 1e-11, (mode, size)
    # The two training passes also moved the running statistics alike.
    expected = from_timm(theirs.state_dict(), ours)
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('arch', ['39', 'v2-19-slim-dw', 'v2-39'])
def test_gradients_equal_timm(arch):
    ours, theirs = pair_with_timm(arch)
    for model in (ours, theirs):
        model.train()
        model(image(75, 64)).square().mean().backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    expected = from_timm(gradients, ours)
    for key, parameter in ours.named_parameters():
        scale = expected[key].abs().max()
        assert (parameter.grad - expected[key]).abs().max() <= 1e-9 * scale, key


# --- parity with a reference written from the tables ------------------------------

# stage: mid, out, modules.
REFERENCE = {
    '27-slim': [(64, 128, 1), (80, 256, 1), (96, 384, 1), (112, 512, 1)],
    '39': [(128, 256, 1), (160, 512, 1), (192, 768, 2), (224, 1024, 2)],
}


def reference_conv(state, name, x, stride=1):
    w = state[f'{name}.conv.weight']
    x = F.conv2d(x, w, stride=stride, padding=w.shape[-1] // 2)
    norm = [state[f'{name}.norm.{k}'] for k in ('running_mean', 'running_var')]
    affine = [state[f'{name}.norm.{k}'] for k in ('weight', 'bias')]
    return F.batch_norm(x, *norm, *affine, eps=1e-5).clamp(min=0)


def reference_pool(x):
    """3x3/2 max pool that rounds up: an even side sees one column of nothing."""
    h, w = x.shape[-2:]
    return F.max_pool2d(F.pad(x, (0, 1 - w % 2, 0, 1 - h % 2), value=-torch.inf), 3, 2)


def reference_forward(arch, form, ese, state, x):
    caffe = form == 'caffe'
    x = reference_conv(state, 'stem.0', x, stride=2)
    x = reference_conv(state, 'stem.1', x)
    x = reference_conv(state, 'stem.2', x, stride=1 if caffe else 2)
    outputs = []
    for stage, (mid, out, modules) in enumerate(REFERENCE[arch], start=2):
        if stage > 2 or caffe:
            x = reference_pool(x)
        for k in range(1, modules + 1):
            name = f'stages.{stage - 2}.osa{k}'
            parts = [x]
            for i in range(5):
                parts.append(reference_conv(state, f'{name}.convs.{i}', parts[-1]))
                assert parts[-1].shape[1] == mid
            y = reference_conv(state, f'{name}.aggregate', torch.cat(parts, 1))
            assert y.shape[1] == out
            if ese:
                weight, bias = (
                    state[f'{name}.ese.fc.weight'],
                    state[f'{name}.ese.fc.bias'],
                )
                gate = y.flatten(2).mean(2) @ weight.flatten(1).T + bias
                y = y * ((gate + 3).clamp(0, 6) / 6)[..., None, None]
            x = y + x if k > 1 and not caffe else y
        outputs.append(x)
    return outputs


@pytest.mark.parametrize(
    ('arch', 'form', 'v2'),
    [
        ('27-slim', 'pytorch', False),
        ('27-slim', 'caffe', False),
        ('39', 'pytorch', False),
        ('39', 'caffe', False),
        ('39', 'pytorch', True),
    ],
)
def test_outputs_equal_a_reference_written_from_the_tables(arch, form, v2):
    model = VoVNet(f'v2-{arch}' if v2 else arch, form=form)
    model = randomise(model).double().eval()
    for size in ((64, 48), (75, 53)):
        with torch.no_grad():
            expected = reference_forward(
                arch, form, v2, model.state_dict(), image(*size)
            )
            assert largest_difference(model(image(*size)), expected) < 1e-11


def test_forms_of_the_same_weights_are_different_functions():
    model = randomise(VoVNet('39', form='pytorch')).eval()
    x = image(64, 64, dtype=torch.float32)
    with torch.no_grad():
        last = model(x)[-1]
        for form in ('caffe', 'timm'):
            other = VoVNet('39', form=form).eval()
            other.load_state_dict(model.state_dict())
            assert largest_difference([other(x)[-1]], [last]) > 0.01


# --- the authors' files ------------------------------------------------------------


def authors_keys(arch: str) -> list[str]:
    """Names of the weights in the authors' files; '/' stands inside of module names."""
    spec = ARCHS[arch]
    norm = ('weight', 'bias', 'running_mean', 'running_var')

    def conv(prefix, name, separable=False):
        if not separable:
            parts = [f'{name}/conv.weight', *[f'{name}/norm.{n}' for n in norm]]
        else:
            parts = [f'{name}/dw_conv3x3.weight', f'{name}/pw_conv1x1.weight']
            parts += [f'{name}/pw_norm.{n}' for n in norm]
        return [f'{prefix}.{part}' for part in parts]

    keys = conv('stem', 'stem_1')
    keys += conv('stem', 'stem_2', spec.depthwise) + conv(
        'stem', 'stem_3', spec.depthwise
    )
    width = spec.stem[-1]
    for i, (mid, out, modules) in enumerate(
        zip(spec.mid, spec.out, spec.num_modules, strict=True)
    ):
        for k in range(1, modules + 1):
            name = f'OSA{i + 2}_{k}'
            prefix = f'stage{i + 2}.{name}'
            for n in range(spec.num_convs):
                keys += conv(f'{prefix}.layers.{n}', f'{name}_{n}', spec.depthwise)
            if spec.depthwise and width != mid:
                keys += conv(f'{prefix}.conv_reduction', f'{name}_reduction_0')
            keys += conv(f'{prefix}.concat', f'{name}_concat')
            if spec.v2:
                keys += [f'{prefix}.ese.fc.weight', f'{prefix}.ese.fc.bias']
            width = out
    return keys


@pytest.mark.parametrize('prefix', ['', 'backbone.bottom_up.'])
@pytest.mark.parametrize('arch', ARCHS)
def test_names_in_the_authors_files_reach_every_tensor_once(arch, prefix):
    with torch.device('meta'):
        model = VoVNet(arch)
    state = {f'{prefix}{key}': torch.empty(0) for key in authors_keys(arch)}
    layout = find_layout('VoVNet', state, 'file')
    assert layout.name == 'official'
    renamed = layout.convert(state, model)
    wanted = {k for k in model.state_dict() if not k.endswith('num_batches_tracked')}
    assert len(renamed) == len(state)
    assert set(renamed) == wanted


@pytest.mark.parametrize(
    ('arch', 'form', 'right'),
    [
        ('39', 'caffe', 'pytorch'),
        ('39', 'timm', 'pytorch'),
        ('v2-39', 'timm', 'pytorch'),
    ],
)
def test_weights_of_another_form_are_refused(arch, form, right):
    with torch.device('meta'):
        model = VoVNet(arch, form=form)
    state = {key: torch.empty(0) for key in authors_keys(arch)}
    with pytest.raises(UserError, match=f"form '{right}'.*say form='{right}'"):
        find_layout('VoVNet', state, 'file').convert(state, model)


def test_timms_weights_fit_the_default_form_only_where_both_are_the_same():
    timm = pytest.importorskip('timm')
    for arch, name, fits in (
        ('v2-19-slim', 'ese_vovnet19b_slim', True),
        ('v2-39', 'ese_vovnet39b', False),
    ):
        with torch.device('meta'):
            state = timm.create_model(name).state_dict()
            model = VoVNet(arch)
        layout = find_layout('VoVNet', state, 'file')
        if fits:
            assert set(model.state_dict()) <= set(layout.convert(state, model))
        else:
            with pytest.raises(UserError, match="say form='timm'"):
                layout.convert(state, model)
