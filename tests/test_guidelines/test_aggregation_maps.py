"""Slices of the weights that read a concatenation are those of its sources."""

import numpy as np
import pytest
import torch
from torch import nn

from mmeff.errors import UserError
from mmeff.guidelines.aggregation import AggregationMap, aggregation_maps, slice_means
from mmeff.guidelines.figures import draw_aggregation, save_figure
from mmeff.models.backbones import DenseNet, MobileNetV2, VoVNet


def number_sources(conv: nn.Module, inputs: list[torch.Tensor]) -> None:
    """Set the weights that read source i to i + 1 or -(i + 1)."""
    start = 0
    with torch.no_grad():
        for i, source in enumerate(inputs):
            stop = start + source.shape[1]
            sign = torch.tensor([1.0, -1.0]).repeat(stop)[start:stop]
            conv.weight[:, start:stop] = (i + 1) * sign[:, None, None]
            start = stop
    assert start == conv.weight.shape[1]


@pytest.fixture
def concatenations(monkeypatch):
    """What `torch.cat` is given while a backbone runs, in order."""
    seen, cat = [], torch.cat

    def record(tensors, dim=0):
        seen.append(list(tensors))
        return cat(tensors, dim)

    monkeypatch.setattr(torch, 'cat', record)
    return seen


@pytest.mark.parametrize(
    ('arch', 'options', 'num_sources', 'num_modules'),
    [
        ('27-slim', {}, 6, 4),
        ('27-slim', {'bottleneck': True}, 6, 4),
        ('39', {}, 6, 6),
        ('v2-19-slim-dw', {}, 4, 4),  # depthwise, behind a 1x1 that is no source
        ('v2-39', {}, 6, 6),  # eSE and identity
    ],
)
def test_modules_of_vovnet_read_each_source_in_its_slice(
    concatenations, arch, options, num_sources, num_modules
):
    backbone = VoVNet(arch, **options).eval()
    with torch.no_grad():
        backbone(torch.rand(1, 3, 32, 32))
    readers = [m.aggregate.conv for m in backbone.modules() if hasattr(m, 'aggregate')]
    for conv, inputs in zip(readers, concatenations, strict=True):
        number_sources(conv, inputs)
    (panel,) = aggregation_maps(backbone)
    assert panel.values.shape == (num_sources, num_modules)
    expected = np.arange(1.0, num_sources + 1)[:, None].repeat(num_modules, 1)
    assert np.allclose(panel.values, expected)
    assert np.allclose(panel.shares, expected / num_sources)
    assert panel.sources[0] == 'input'
    assert panel.targets[0] == 'stage 2, module 1'


def readers_of(backbone: DenseNet) -> list[nn.Module | None]:
    """Convolutions that read a concatenation, in order; None for a norm that does."""
    readers = []
    for stage in backbone.stages:
        for number in (1, 2):
            if block := getattr(stage, f'block{number}', None):
                readers += [layer.layers.conv1 for layer in list(block)[1:]]
                transition = getattr(stage, f'transition{number}')
                readers.append(getattr(transition, 'conv', None))
    return readers


@pytest.mark.parametrize(
    ('arch', 'targets'),
    [('121', [7, 13, 25, 16]), ('ds-64-64-16-1', [7, 9, 9, 9])],
)
def test_layers_of_densenet_read_each_source_in_its_slice(
    concatenations, arch, targets
):
    indices = range(3 if 'ds' in arch else 4)
    # Checkpointing, which concatenates all features anew for each layer.
    backbone = DenseNet(arch, out_indices=indices, with_cp=True).eval()
    with torch.no_grad():
        backbone(torch.rand(1, 3, 32, 32))
    for conv, inputs in zip(readers_of(backbone), concatenations, strict=True):
        if conv is not None:
            number_sources(conv, inputs)
    maps = aggregation_maps(backbone)
    assert [len(panel.targets) for panel in maps] == targets
    for panel in maps:
        size = len(panel.targets)
        assert len(panel.sources) == size
        expected = np.arange(1.0, size + 1)[:, None].repeat(size, 1)
        expected[np.tril_indices(size, -1)] = np.nan
        # The first layer reads one source and no concatenation.
        assert np.allclose(panel.values[:, 1:], expected[:, 1:], equal_nan=True)
        assert np.isfinite(panel.values[0, 0])
        assert np.isnan(panel.values[1:, 0]).all()
        assert panel.sources[:2] == ('input', 'layer 1')
        assert panel.targets[0] == 'layer 1'
    last = [panel.targets[-1] for panel in maps]
    assert last[:3] == 3 * ['transition']
    assert last[3] == ('transition' if 'ds' in arch else 'layer 16')


def test_means_are_per_weight_whatever_the_width_of_a_source():
    weight = torch.ones(2, 5, 3, 3)
    weight[:, 1:] = -3
    assert slice_means(weight, [1, 4]) == [1, 3]


def test_widths_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match='the layer reads 5'):
        slice_means(torch.ones(2, 5, 1, 1), [1, 3])


def test_shares_are_of_the_greatest_of_a_target():
    values = np.array([[2.0, 1.0], [np.nan, 4.0]])
    panel = AggregationMap('', ('a', 'b'), ('c', 'd'), values)
    shares = panel.shares
    assert shares[:, 1].tolist() == [0.25, 1]
    assert shares[0, 0] == 1
    assert np.isnan(shares[1, 0])


def test_other_backbones_are_refused_with_those_that_are_known():
    with pytest.raises(UserError, match=r'MobileNetV2: expected VoVNet or DenseNet'):
        aggregation_maps(MobileNetV2(0.35))


def test_colours_of_the_picture_are_the_shares(tmp_path):
    maps = aggregation_maps(DenseNet('121'))
    figure = draw_aggregation(maps, 'net')
    images = [image for ax in figure.axes for image in ax.images]
    for image, panel in zip(images, maps, strict=True):
        assert np.array_equal(image.get_array().filled(np.nan), panel.shares, True)
    path = tmp_path / 'sub' / 'heat.png'
    save_figure(figure, path)
    assert path.read_bytes().startswith(b'\x89PNG')
    assert [file.name for file in path.parent.iterdir()] == ['heat.png']


def test_unknown_kinds_of_picture_are_refused(tmp_path):
    with pytest.raises(UserError, match=r'heat.txt: expected .*png'):
        save_figure(draw_aggregation(aggregation_maps(VoVNet(39)), ''), 'heat.txt')
