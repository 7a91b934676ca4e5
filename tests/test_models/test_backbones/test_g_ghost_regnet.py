"""G-Ghost RegNetX against a second implementation, the authors' keys and timm."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import find_layout
from mmeff.models.backbones.g_ghost_regnet import (
    ARCHS,
    GGhostRegNet,
    GGhostStage,
    plain_stage,
)

LAYERS = dict(conv_cfg=None, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))
# Group width, that of the narrow blocks, and of each layer: blocks, channels, channels
# of the narrow blocks (None: an ordinary stage).
TABLE = {
    '002': (8, 6, [(1, 24, None), (1, 56, None), (4, 152, 72), (7, 368, 180)]),
    '008': (16, 12, [(1, 64, None), (3, 128, 60), (7, 288, 144), (5, 672, 336)]),
    '032': (48, 36, [(2, 96, None), (6, 192, 72), (15, 432, 216), (2, 1008, None)]),
    '040': (40, 30, [(2, 80, None), (5, 240, 120), (14, 560, 270), (2, 1360, None)]),
    '080': (120, 90, [(2, 80, None), (5, 240, 90), (15, 720, 360), (1, 1920, None)]),
    '160': (128, 96, [(2, 256, None), (6, 512, 192), (13, 896, 384), (1, 2048, None)]),
}


# --- what the authors' files hold --------------------------------------------------


def official_shapes(arch: str, mix: bool = True, num_classes: int = 10) -> dict:
    """Shapes of the tensors under the authors' names, from the table above."""
    shapes = {}

    def conv_bn(conv, bn, out, in_channels, kernel=1):
        shapes[f'{conv}.weight'] = (out, in_channels, kernel, kernel)
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{bn}.{name}'] = (out,)

    def block(name, in_channels, out, group, first=False):
        conv_bn(f'{name}.conv1', f'{name}.bn1', out, in_channels)
        conv_bn(f'{name}.conv2', f'{name}.bn2', out, min(group, out), 3)
        conv_bn(f'{name}.conv3', f'{name}.bn3', out, out)
        if first:
            conv_bn(f'{name}.downsample.0', f'{name}.downsample.1', out, in_channels)

    conv_bn('conv1', 'bn1', 32, 3, 3)
    width = 32
    group, narrow_group, layers = TABLE[arch]
    for k, (depth, out, raw) in enumerate(layers, start=1):
        if raw is None:
            for i in range(depth):
                block(f'layer{k}.{i}', width if i == 0 else out, out, group, i == 0)
        else:
            block(f'layer{k}.base', width, out, group, True)
            block(f'layer{k}.end', out, out, group)
            for i in range(depth - 2):
                block(f'layer{k}.layers.{i}', raw, raw, narrow_group)
            cheap = out - raw
            conv_bn(f'layer{k}.cheap.0', f'layer{k}.cheap.1', cheap, cheap)
            if mix:
                seen = out + (depth - 2) * raw
                conv_bn(f'layer{k}.merge.1', f'layer{k}.merge.2', cheap, seen)
                conv_bn(f'layer{k}.merge.4', f'layer{k}.merge.5', cheap, cheap)
        width = out
    return {**shapes, 'fc.weight': (num_classes, width), 'fc.bias': (num_classes,)}


def random_state(shapes: dict) -> dict:
    """Values that a wrong wiring cannot hide behind, in float64."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        value = torch.rand(shape, generator=generator, dtype=torch.float64)
        if len(shape) == 4:
            fan = shape[1] * shape[2] * shape[3]
            state[key] = (value - 0.5) * (24 / fan) ** 0.5
        else:
            positive = key.endswith('running_var') or len(shape) == 1
            state[key] = value + 0.5 if positive else value - 0.5
    return state


# --- a second implementation ---------------------------------------------------------


def conv_bn(state, conv, bn, x, stride=1, groups=1, training=False):
    weight = state[f'{conv}.weight']
    x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
    mean, var = (state[f'{bn}.running_{k}'].clone() for k in ('mean', 'var'))
    return F.batch_norm(
        x, mean, var, state[f'{bn}.weight'], state[f'{bn}.bias'], training
    )


def reference_block(state, name, x, group, stride, training):
    groups = state[f'{name}.conv2.weight'].shape[0] // group or 1
    y = F.relu(conv_bn(state, f'{name}.conv1', f'{name}.bn1', x, training=training))
    y = conv_bn(state, f'{name}.conv2', f'{name}.bn2', y, stride, groups, training)
    y = F.relu(y)
    y = conv_bn(state, f'{name}.conv3', f'{name}.bn3', y, training=training)
    if stride == 2:
        down = f'{name}.downsample'
        x = conv_bn(state, f'{down}.0', f'{down}.1', x, 2, training=training)
    return F.relu(x + y)


def reference_ghost_stage(state, layer, x, depth, raw, groups, mix, training):
    group, narrow_group = groups
    x = reference_block(state, f'{layer}.base', x, group, 2, training)
    y, seen = x[:, :raw], [x]
    for i in range(depth - 2):
        name = f'{layer}.layers.{i}'
        y = reference_block(state, name, y, narrow_group, 1, training)
        seen.append(y)
    names = (f'{layer}.cheap.0', f'{layer}.cheap.1')
    ghosts = conv_bn(state, *names, x[:, raw:], training=training)
    if mix:
        m = F.adaptive_avg_pool2d(torch.cat(seen, 1), 1)
        names = (f'{layer}.merge.1', f'{layer}.merge.2')
        m = F.relu(conv_bn(state, *names, m, training=training))
        names = (f'{layer}.merge.4', f'{layer}.merge.5')
        ghosts = ghosts + conv_bn(state, *names, m, training=training)
    x = torch.cat((y, F.relu(ghosts)), 1)
    return reference_block(state, f'{layer}.end', x, group, 1, training)


def reference_forward(state, arch, x, mix=True, training=False):
    """The maps of the four stages, and logits."""
    group, narrow_group, layers = TABLE[arch]
    x = F.relu(conv_bn(state, 'conv1', 'bn1', x, 2, training=training))
    maps = []
    for k, (depth, width, raw) in enumerate(layers, start=1):
        if raw is None:
            for i in range(depth):
                stride = 2 if i == 0 else 1
                x = reference_block(state, f'layer{k}.{i}', x, group, stride, training)
        else:
            groups = (group, narrow_group)
            x = reference_ghost_stage(
                state, f'layer{k}', x, depth, raw, groups, mix, training
            )
        assert x.shape[1] == width
        maps.append(x)
    return [*maps, F.linear(x.mean((2, 3)), state['fc.weight'], state['fc.bias'])]


def images(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)


def loaded(state: dict, path, arch: str, **kwargs) -> GGhostRegNet:
    """Our network with the authors' tensors, by the loader that users use."""
    torch.save(state, path)
    model = GGhostRegNet(arch, **kwargs).double()
    summary = load_backbone_weights(model, str(path))
    assert 'official layout' in summary
    return model


@pytest.mark.parametrize('mix', [True, False])
@pytest.mark.parametrize('arch', ['002', '008'])
def test_outputs_equal_a_second_implementation(arch, mix, tmp_path):
    state = random_state(official_shapes(arch, mix))
    path = tmp_path / 'official.pth'
    backbone = loaded(state, path, arch, mix=mix)
    classifier = loaded(state, path, arch, mix=mix, num_classes=10)
    classifier.head.dropout.p = 0.0
    for training in (False, True):
        for size in ((64, 96), (75, 117)):
            x = images(*size)
            with torch.no_grad():
                outputs = backbone.train(training)(x)
                logits = classifier.train(training)(x)
                expected = reference_forward(state, arch, x, mix, training)
            for ours, theirs in zip((*outputs, logits), expected, strict=True):
                assert theirs.abs().max() > 0.1
                assert_close(ours, theirs, rtol=0, atol=1e-9 * theirs.abs().max())


def test_gradients_equal_a_second_implementation(tmp_path):
    state = random_state(official_shapes('002'))
    model = loaded(state, tmp_path / 'official.pth', '002', num_classes=10).eval()
    parameters = {k: v.requires_grad_() for k, v in state.items() if 'running' not in k}
    x = images(75, 117)
    model(x).square().mean().backward()
    reference_forward(state, '002', x)[-1].square().mean().backward()
    gradients = {key: parameter.grad for key, parameter in parameters.items()}
    expected = find_layout('GGhostRegNet', gradients, 'gradients').convert(
        gradients, model
    )
    for key, parameter in model.named_parameters():
        scale = expected[key].abs().max()
        assert scale > 0
        assert_close(parameter.grad, expected[key], rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize('arch', TABLE)
def test_each_tensor_of_the_authors_fills_one_of_ours(arch, tmp_path):
    shapes = official_shapes(arch, num_classes=1000)
    path = tmp_path / 'official.pth'
    torch.save({key: torch.zeros(shape) for key, shape in shapes.items()}, path)
    summary = load_backbone_weights(GGhostRegNet(arch, num_classes=1000), str(path))
    assert f'loaded {len(shapes)}/{len(shapes)} tensors' in summary
    assert 'not used' not in summary


# --- the RegNetX that it is made from -------------------------------------------------


def plain_regnetx(arch: str) -> nn.Sequential:
    """The stages of RegNetX in our blocks, with no ghosts."""
    spec, widths = ARCHS[arch], (32, *ARCHS[arch].widths)
    return nn.Sequential(
        *(
            plain_stage(
                *(widths[i], widths[i + 1], spec.depths[i], spec.group_width),
                with_cp=False,
                layers=LAYERS,
            )
            for i in range(4)
        )
    )


def from_timm(state: dict) -> dict:
    """Our names for the stages of timm's RegNet: s1.b1.conv1.bn is 0.0.conv1.norm."""
    renamed = {}
    for key, value in state.items():
        stage, _, rest = key.partition('.')
        if stage in ('s1', 's2', 's3', 's4'):
            block, _, rest = rest.partition('.')
            numbers = f'{int(stage[1:]) - 1}.{int(block[1:]) - 1}'
            renamed[f'{numbers}.{rest.replace(".bn.", ".norm.")}'] = value
    return renamed


@pytest.mark.parametrize('arch', ARCHS)
def test_without_ghosts_the_stages_are_those_of_regnetx(arch):
    timm = pytest.importorskip('timm')
    with torch.device('meta'):
        theirs = timm.create_model(f'regnetx_{arch}')
        ours = plain_regnetx(arch)
    expected = {k: v.shape for k, v in from_timm(theirs.state_dict()).items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == expected
    groups = [m.groups for m in ours.modules() if isinstance(m, nn.Conv2d)]
    stages = (theirs.s1, theirs.s2, theirs.s3, theirs.s4)
    convs = [m for s in stages for m in s.modules() if isinstance(m, nn.Conv2d)]
    assert sorted(groups) == sorted(m.groups for m in convs)


def test_plain_stages_equal_timm():
    timm = pytest.importorskip('timm')
    theirs = timm.create_model('regnetx_002').double()
    ours = plain_regnetx('002').double()
    ours.load_state_dict(from_timm(theirs.state_dict()))
    for training in (False, True):
        ours.train(training)
        theirs.train(training)
        with torch.no_grad():
            expected = theirs.forward_features(images(75, 117))
            outputs = ours(theirs.stem(images(75, 117)))
        assert expected.std() > 0
        assert_close(outputs, expected, rtol=1e-10, atol=1e-10)


# --- ghosts -----------------------------------------------------------------------


@pytest.mark.parametrize('arch', TABLE)
def test_channels_divide_as_in_the_authors_networks(arch):
    with torch.device('meta'):
        model = GGhostRegNet(arch)
    _, narrow_group, layers = TABLE[arch]
    for stage, (depth, width, raw) in zip(model.stages, layers, strict=True):
        assert isinstance(stage, GGhostStage) == (raw is not None)
        if raw is not None:
            assert stage.parts == (raw, width - raw)
            assert len(stage.layers) == depth - 2
            conv = stage.layers[0].conv2.conv
            assert conv.in_channels // conv.groups == narrow_group


def test_more_ghosts_mean_fewer_parameters_and_the_same_maps():
    sizes = []
    for ratio in (0.1, 0.5, 0.9):
        model = GGhostRegNet('008', cheap_ratio=ratio).eval()
        maps = model(torch.rand(1, 3, 64, 64))
        assert tuple(m.shape[1] for m in maps) == (64, 128, 288, 672)
        sizes.append(sum(p.numel() for p in model.parameters()))
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


@pytest.mark.parametrize('cheap_ratio', [0, 1, -0.1, 0.95])
def test_ratio_that_leaves_no_group_of_channels_is_refused(cheap_ratio):
    with pytest.raises(ValueError, match=f'cheap_ratio={cheap_ratio} leaves'):
        GGhostRegNet('008', cheap_ratio=cheap_ratio)


def test_one_image_in_training_is_refused_with_advice():
    x = torch.rand(1, 3, 64, 64)
    with pytest.raises(ValueError, match=r'two images or more .* norm_eval=True'):
        GGhostRegNet('002').train()(x)


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(norm_eval=True),
        dict(norm_cfg=dict(type='GN', num_groups=4)),
        dict(mix=False),
        dict(frozen_stages=4),
        dict(out_indices=(1,)),  # none of its stages has ghosts
    ],
)
def test_one_image_trains_where_the_error_says_so(kwargs):
    model = GGhostRegNet('002', **kwargs).train()
    maps = model(torch.rand(1, 3, 64, 64))
    assert all(m.isfinite().all() for m in maps)
