"""ShuffleNetV2's forms against torchvision, pytorchcv and a second implementation."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import LAYOUTS, find_layout
from mmeff.errors import UserError
from mmeff.fidelity import FAMILIES
from mmeff.fidelity.check import image, pair, randomise
from mmeff.models.backbones.shufflenet_v2 import (
    ShuffleNetV2,
    deinterleave,
    interleave,
)

ROWS = {row.name: row for row in FAMILIES['ShuffleNetV2']}
# Of each stage with units: channels, units, stride.
SMALL = [(48, 4, 2), (96, 8, 2), (192, 4, 2)]
LARGE = [(244, 3, 1), (488, 4, 2), (976, 6, 2), (1952, 3, 2)]


@pytest.mark.parametrize(
    ('arch', 'channels'),
    [
        ('0.5', (24, 48, 96, 192, 1024)),
        ('1.0', (24, 116, 232, 464, 1024)),
        ('1.5', (24, 176, 352, 704, 1024)),
        ('2.0', (24, 244, 488, 976, 2048)),
        ('50', (244, 488, 976, 1952, 2048)),
        ('se-164', (340, 680, 1360, 2720, 2048)),
    ],
)
@pytest.mark.parametrize('form', ['megvii', 'torchvision'])
def test_stages_have_the_channels_of_the_paper(arch, channels, form):
    with torch.device('meta'):
        model = ShuffleNetV2(arch, form, out_indices=range(5))
        outputs = model(torch.rand(1, 3, 224, 224))
    assert [tuple(o.shape[1:]) for o in outputs] == [
        (c, side, side) for c, side in zip(channels, (56, 28, 14, 7, 7), strict=True)
    ]


def test_multipliers_may_be_floats():
    with torch.device('meta'):
        assert ShuffleNetV2(1.5).out_channels == ShuffleNetV2('1.5').out_channels
        assert ShuffleNetV2(50).out_channels == ShuffleNetV2('50').out_channels


def test_a_wrong_form_lists_those_that_there_are():
    with pytest.raises(ValueError, match='expected one of megvii, torchvision'):
        ShuffleNetV2('1.0', form='caffe')


@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last]
)
def test_interleaved_channels_alternate_and_come_apart_again(memory_format):
    x = torch.rand(2, 12, 3, 5).contiguous(memory_format=memory_format)
    even, odd = deinterleave(x)
    assert torch.equal(even, x[:, ::2])
    assert torch.equal(odd, x[:, 1::2])
    again = interleave(even, odd.contiguous(memory_format=memory_format))
    assert torch.equal(again, x)
    assert again.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize(
    'name', ["ShuffleNetV2 0.5, form 'torchvision'", 'ShuffleNetV2 1.0']
)
def test_gradients_equal_those_of_the_reference(name):
    pytest.importorskip(ROWS[name].reference.library)
    ours, theirs = (model.double().train() for model in pair(ROWS[name]))
    x = image(75, 64, dtype=torch.float64)
    # Their state dict with gradients in it, so that the layout names them as ours.
    for model in (ours, theirs):
        model(x).square().mean().backward()
    for parameter in theirs.parameters():
        parameter.data = parameter.grad
    state = theirs.state_dict()
    expected = find_layout('ShuffleNetV2', state, name).convert(state, ours)
    for key, parameter in ours.named_parameters():
        assert_close(parameter.grad, expected[key], rtol=1e-9, atol=1e-12)


def test_maps_equal_those_of_torchvision():
    ours, theirs = pair(ROWS["ShuffleNetV2 0.5, form 'torchvision'"])
    found = []
    names = ('maxpool', 'stage2', 'stage3', 'stage4', 'conv5')
    hooks = [
        getattr(theirs, name).register_forward_hook(lambda m, a, y: found.append(y))
        for name in names
    ]
    x = image(75, 117)
    theirs.eval()(x)
    for hook in hooks:
        hook.remove()
    ours.head = None
    ours.out_indices = range(5)
    assert_close(list(ours.eval()(x)), found, rtol=1e-6, atol=1e-6)


# --- a second implementation, for what no library has -----------------------------


def reference_layers(state, name, x, stride=1, relu=True):
    weight = state[f'{name}.conv.weight']
    groups = x.shape[1] // weight.shape[1]
    x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
    norm = ('running_mean', 'running_var', 'weight', 'bias')
    x = F.batch_norm(x, *(state[f'{name}.norm.{key}'] for key in norm))
    return x.clamp(min=0) if relu else x


def reference_excite(state, name, x):
    mean = x.flatten(2).mean(2)
    for layer, act in (('reduce', torch.relu), ('expand', torch.sigmoid)):
        weight, bias = state[f'{name}.{layer}.weight'], state[f'{name}.{layer}.bias']
        mean = act(mean @ weight.flatten(1).T + bias)
    return x * mean[:, :, None, None]


def reference_unit(state, name, x, stride, form, se, residual):
    channels = x.shape[1]
    projects = f'{name}.proj.0.conv.weight' in state
    if projects:
        kept = reference_layers(state, f'{name}.proj.0', x, stride, relu=False)
        kept = reference_layers(state, f'{name}.proj.1', kept)
    elif form == 'megvii':
        kept, x = x[:, 0::2], x[:, 1::2]
    else:
        kept, x = x[:, : channels // 2], x[:, channels // 2 :]
    y = reference_layers(state, f'{name}.main.0', x)
    y = reference_layers(state, f'{name}.main.1', y, stride, relu=False)
    y = reference_layers(state, f'{name}.main.2', y, relu=not residual)
    if se:
        y = reference_excite(state, f'{name}.excite', y)
    if residual:
        y = (y if projects else y + x).clamp(min=0)
    y = torch.cat((kept, y), 1)
    if form == 'megvii':
        return y
    half = y.shape[1] // 2
    order = [half * (i % 2) + i // 2 for i in range(2 * half)]
    return y[:, order]


def reference_maps(state, x, stem, table, form, se, residual):
    for i in range(stem):
        x = reference_layers(state, f'stem.{i}', x, stride=1 if i else 2)
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, 2)
    maps = [] if table[0][2] == 1 else [x]
    for channels, units, stride in table:
        first = 1 if not maps else 0  # after the max pool
        for k in range(units):
            name = f'stages.{len(maps)}.{k + first}'
            step = 1 if k else stride
            x = reference_unit(state, name, x, step, form, se, residual)
        assert x.shape[1] == channels
        maps.append(x)
    return maps


@pytest.mark.parametrize(
    ('arch', 'form', 'se', 'residual'),
    [
        ('0.5', 'megvii', False, False),
        ('0.5', 'megvii', True, False),
        ('0.5', 'megvii', False, True),
        ('0.5', 'megvii', True, True),
        ('0.5', 'torchvision', True, True),
        ('50', 'megvii', False, False),
    ],
)
def test_maps_equal_a_second_implementation(arch, form, se, residual):
    model = ShuffleNetV2(arch, form, se, residual)
    model = randomise(model).double().eval()
    x = image(75, 85, dtype=torch.float64)
    table = SMALL if arch == '0.5' else LARGE
    with torch.no_grad():
        expected = reference_maps(model.state_dict(), x, 1, table, form, se, residual)
        assert_close(list(model(x)), expected, rtol=1e-10, atol=1e-10)


def test_the_first_stage_of_se_164_equals_a_second_implementation():
    model = randomise(ShuffleNetV2('se-164', out_indices=(0,))).double().eval()
    x = image(64, 45, dtype=torch.float64)
    with torch.no_grad():
        expected = reference_maps(
            model.state_dict(), x, 3, [(340, 10, 1)], 'megvii', True, True
        )
        assert_close(list(model(x)), expected, rtol=1e-10, atol=1e-10)


def test_options_and_forms_are_other_functions_of_the_same_weights():
    model = randomise(ShuffleNetV2('0.5')).eval()
    x = image(64, 64)
    for kwargs in (dict(form='torchvision'), dict(residual=True)):
        other = ShuffleNetV2('0.5', **kwargs).eval()
        other.load_state_dict(model.state_dict())
        ratio = (other(x)[-1] - model(x)[-1]).abs().max() / model(x)[-1].abs().max()
        assert ratio > 0.01


def test_only_torchvisions_classifier_has_a_bias():
    with torch.device('meta'):
        assert ShuffleNetV2('0.5', num_classes=10).head.fc.bias is None
        model = ShuffleNetV2('0.5', 'torchvision', num_classes=10)
        assert model.head.fc.bias.shape == (10,)


# --- layouts ----------------------------------------------------------------------


def megvii_shapes() -> dict:
    """Shapes of the tensors of the authors' 1.0 under their names."""
    shapes = {}

    def conv(name, i, out, fan_in, kernel=1):
        shapes[f'{name}.{i}.weight'] = (out, fan_in, kernel, kernel)
        for key in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{name}.{i + 1}.{key}'] = (out,)
        shapes[f'{name}.{i + 1}.num_batches_tracked'] = ()

    conv('first_conv', 0, 24, 3, 3)
    width, index = 24, 0
    for out, units in ((116, 4), (232, 8), (464, 4)):
        for k in range(units):
            unit = f'features.{index + k}'
            enters = width if k == 0 else out // 2
            conv(f'{unit}.branch_main', 0, out // 2, enters)
            conv(f'{unit}.branch_main', 3, out // 2, 1, 3)
            conv(f'{unit}.branch_main', 5, out - enters, out // 2)
            if k == 0:
                conv(f'{unit}.branch_proj', 0, width, 1, 3)
                conv(f'{unit}.branch_proj', 2, width, width)
        width, index = out, index + units
    conv('conv_last', 0, 1024, 464)
    shapes['classifier.0.weight'] = (1000, 1024)
    return shapes


def test_the_authors_keys_reach_every_tensor_once():
    with torch.device('meta'):
        state = {key: torch.empty(shape) for key, shape in megvii_shapes().items()}
        model = ShuffleNetV2('1.0', num_classes=1000)
    layout = find_layout('ShuffleNetV2', state, 'file')
    assert layout.name == 'official'
    converted = layout.convert(state, model)
    assert len(converted) == len(state)
    assert {key: value.shape for key, value in converted.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }


def like_mmpretrain(state: dict) -> dict:
    """A torchvision state dict under the names of OpenMMLab's ConvModules."""
    layers = {'0': '0.conv', '1': '0.bn', '2': '1.conv', '3': '1.bn'}
    main = {**layers, '3': '1.conv', '4': '1.bn', '5': '2.conv', '6': '2.bn'}
    renamed = {}
    for key, value in state.items():
        first, *rest = key.split('.')
        if first.startswith('stage'):
            unit, branch, layer, name = rest
            layer = (layers if branch == 'branch1' else main)[layer]
            stage = int(first[-1]) - 2
            key = f'backbone.layers.{stage}.{unit}.{branch}.{layer}.{name}'
        elif first == 'fc':
            key = f'head.fc.{rest[0]}'
        else:
            place = 'conv1' if first == 'conv1' else 'layers.3'
            key = f'backbone.{place}.{("conv", "bn")[int(rest[0])]}.{rest[1]}'
        renamed[key] = value
    return renamed


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_mmpretrain_files_load_as_torchvisions(prefix, tmp_path):
    ours, theirs = pair(ROWS["ShuffleNetV2 0.5, form 'torchvision'"])
    path = str(tmp_path / 'mmpretrain.pth')
    torch.save({'state_dict': like_mmpretrain(theirs.state_dict())}, path)
    model = ShuffleNetV2('0.5', 'torchvision', out_indices=range(5))
    summary = load_backbone_weights(model, path, prefix)
    assert 'mmpretrain layout' in summary
    expected = ours.state_dict()
    for key, value in model.state_dict().items():
        if not key.endswith('num_batches_tracked'):
            assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize('layout', LAYOUTS['ShuffleNetV2'], ids=lambda x: x.name)
def test_files_of_the_other_form_are_refused_with_the_form_to_say(layout):
    form, other = 'megvii', 'torchvision'
    if layout.name != 'official':
        form, other = other, form
    with torch.device('meta'):
        model = ShuffleNetV2('0.5', other)
    with pytest.raises(UserError, match=f"say form='{form}' in its config"):
        layout.convert({}, model)
