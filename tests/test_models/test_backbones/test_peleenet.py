"""PeleeNet against a second implementation, the authors' keys and pytorchcv."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import find_layout
from mmeff.fidelity.check import randomise, without_chance
from mmeff.fidelity.row import Reference
from mmeff.models.backbones.peleenet import PeleeNet

# Of each stage: dense layers, channels of the bottlenecks, channels put out.
TABLE = [(3, 16, 128), (4, 32, 256), (8, 64, 512), (6, 64, 704)]


def official_shapes(num_classes: int = 10) -> dict:
    """Shapes of the tensors under the authors' names."""
    shapes = {}

    def conv(name, out, in_channels, kernel=1):
        shapes[f'features.{name}.conv.weight'] = (out, in_channels, kernel, kernel)
        for key in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'features.{name}.norm.{key}'] = (out,)

    conv('stemblock.stem1', 32, 3, 3)
    conv('stemblock.stem2a', 16, 32)
    conv('stemblock.stem2b', 32, 16, 3)
    conv('stemblock.stem3', 32, 64)
    width = 32
    for i, (depth, bottleneck, out) in enumerate(TABLE, start=1):
        for k in range(1, depth + 1):
            layer = f'denseblock{i}.denselayer{k}'
            conv(f'{layer}.branch1a', bottleneck, width)
            conv(f'{layer}.branch1b', 16, bottleneck, 3)
            conv(f'{layer}.branch2a', bottleneck, width)
            conv(f'{layer}.branch2b', 16, bottleneck, 3)
            conv(f'{layer}.branch2c', 16, 16, 3)
            width += 32
        conv(f'transition{i}', out, width)
    shapes['classifier.weight'] = (num_classes, 704)
    shapes['classifier.bias'] = (num_classes,)
    return shapes


def random_state() -> dict:
    """Values that a wrong wiring cannot hide behind, in float64."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in official_shapes().items():
        value = torch.rand(shape, generator=generator, dtype=torch.float64)
        if len(shape) == 4:
            fan = shape[1] * shape[2] * shape[3]
            state[key] = (value - 0.5) * (24 / fan) ** 0.5
        else:
            state[key] = value + 0.5 if 'norm' in key else value - 0.5
    return state


def mean_of_what_is_there(x):
    """Means of 2x2 pixels, fewer at the end of an odd side."""
    height, width = x.shape[2:]
    pad = (0, width % 2, 0, height % 2)
    count = F.pad(torch.ones_like(x[:1, :1]), pad)
    return F.avg_pool2d(F.pad(x, pad), 2) / F.avg_pool2d(count, 2)


def max_of_what_is_there(x):
    height, width = x.shape[2:]
    return F.max_pool2d(F.pad(x, (0, width % 2, 0, height % 2), value=-torch.inf), 2)


def reference_forward(state, x, training=False):
    """The maps of the four stages, and logits."""

    def conv(name, x, stride=1):
        weight = state[f'features.{name}.conv.weight']
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
        norm = {
            key: state[f'features.{name}.norm.{key}']
            for key in ('running_mean', 'running_var', 'weight', 'bias')
        }
        mean, var = norm.pop('running_mean').clone(), norm.pop('running_var').clone()
        return F.relu(F.batch_norm(x, mean, var, **norm, training=training))

    x = conv('stemblock.stem1', x, 2)
    branch = conv('stemblock.stem2b', conv('stemblock.stem2a', x), 2)
    x = conv('stemblock.stem3', torch.cat((max_of_what_is_there(x), branch), 1))
    maps = []
    for i, (depth, _, _) in enumerate(TABLE, start=1):
        x = mean_of_what_is_there(x) if i > 1 else x
        for k in range(1, depth + 1):
            layer = f'denseblock{i}.denselayer{k}'
            one = conv(f'{layer}.branch1b', conv(f'{layer}.branch1a', x))
            two = conv(f'{layer}.branch2b', conv(f'{layer}.branch2a', x))
            x = torch.cat((x, one, conv(f'{layer}.branch2c', two)), 1)
        x = conv(f'transition{i}', x)
        maps.append(x)
    logits = x.mean((2, 3)) @ state['classifier.weight'].T + state['classifier.bias']
    return [*maps, logits]


def images(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)


def loaded(state: dict, path, **kwargs) -> PeleeNet:
    """Our network with the authors' tensors, by the loader that users use."""
    torch.save(state, path)
    model = PeleeNet(**kwargs).double()
    assert 'official layout' in load_backbone_weights(model, str(path))
    return without_chance(model)


@pytest.mark.parametrize('size', [(64, 96), (75, 117), (99, 134)])
def test_outputs_equal_a_second_implementation(size, tmp_path):
    state, x = random_state(), images(*size)
    backbone = loaded(state, tmp_path / 'official.pth')
    classifier = loaded(state, tmp_path / 'official.pth', num_classes=10)
    for training in (False, True):
        with torch.no_grad():
            outputs = backbone.train(training)(x)
            logits = classifier.train(training)(x)
            expected = reference_forward(state, x, training)
        for ours, theirs in zip((*outputs, logits), expected, strict=True):
            assert theirs.abs().max() > 0.1
            assert_close(ours, theirs, rtol=0, atol=1e-9 * theirs.abs().max())


def test_gradients_equal_a_second_implementation(tmp_path):
    state, x = random_state(), images(75, 117)
    model = loaded(state, tmp_path / 'official.pth', num_classes=10).eval()
    parameters = {k: v.requires_grad_() for k, v in state.items() if 'running' not in k}
    model(x).square().mean().backward()
    reference_forward(state, x)[-1].square().mean().backward()
    gradients = {key: parameter.grad for key, parameter in parameters.items()}
    expected = find_layout('PeleeNet', gradients, 'gradients').convert(gradients, model)
    for key, parameter in model.named_parameters():
        scale = expected[key].abs().max()
        assert scale > 0
        assert_close(parameter.grad, expected[key], rtol=0, atol=1e-9 * scale)


def test_each_tensor_of_the_authors_fills_one_of_ours(tmp_path):
    shapes = official_shapes(num_classes=1000)
    path = tmp_path / 'official.pth'
    torch.save({key: torch.zeros(shape) for key, shape in shapes.items()}, path)
    summary = load_backbone_weights(PeleeNet(num_classes=1000), str(path))
    assert f'loaded {len(shapes)}/{len(shapes)} tensors' in summary
    assert 'not used' not in summary


def test_detectors_get_maps_of_the_sizes_that_caffe_gives():
    model = PeleeNet().eval()
    with torch.no_grad():
        maps = model(torch.rand(1, 3, 304, 304))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (128, 76, 76),
        (256, 38, 38),
        (512, 19, 19),
        (704, 10, 10),
    ]


def test_equals_a_network_that_rounds_down_where_no_map_has_an_odd_side(tmp_path):
    """At other sizes see the fidelity table, whose reference rounds up."""
    pytest.importorskip('pytorchcv')
    theirs = randomise(Reference('pytorchcv', 'peleenet').build()).eval()
    ours = PeleeNet(num_classes=1000).eval()
    torch.save(theirs.state_dict(), tmp_path / 'pytorchcv.pth')
    load_backbone_weights(ours, str(tmp_path / 'pytorchcv.pth'))
    x = images(64, 96)
    with torch.no_grad():
        assert_close(ours.double()(x), theirs.double()(x), rtol=1e-10, atol=1e-10)
