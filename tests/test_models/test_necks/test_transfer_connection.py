"""The neck of RefineDet against the same arithmetic in plain functions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from mmeff.fidelity.check import randomise
from mmeff.models.necks import TransferConnection

WIDTHS = (6, 8, 10)


def neck(**kwargs) -> TransferConnection:
    """A neck with statistics and norms of its own, float64, in eval mode."""
    torch.manual_seed(0)
    model = TransferConnection(WIDTHS, **{'out_channels': 12, **kwargs})
    return randomise(model).double().eval()


def maps(finest: int = 16) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    sides = (finest, finest // 2, finest // 4)
    return [
        torch.randn(2, width, side, side, generator=generator, dtype=torch.float64)
        for width, side in zip(WIDTHS, sides, strict=True)
    ]


# --- the second implementation -----------------------------------------------------


def conv(state: dict, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolution and norm, as `state` has them below `name`."""
    weight = state[f'{name}.conv.weight']
    padding = weight.shape[-1] // 2
    x = F.conv2d(x, weight, state.get(f'{name}.conv.bias'), stride, padding)
    return norm(state, name, x)


def norm(state: dict, name: str, x: Tensor) -> Tensor:
    if f'{name}.norm.weight' not in state:
        return x
    mean, var, weight, bias = (
        state[f'{name}.norm.{key}'][:, None, None]
        for key in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def double(state: dict, name: str, x: Tensor) -> Tensor:
    """Deconvolution of kernel and stride 2: each pixel becomes a square of four."""
    batch, _, height, width = x.shape
    squares = torch.einsum('bihw,ioyx->bohywx', x, state[f'{name}.conv.weight'])
    y = squares.reshape(batch, -1, 2 * height, 2 * width)
    if f'{name}.conv.bias' in state:
        y = y + state[f'{name}.conv.bias'][:, None, None]
    return norm(state, name, y)


def bottleneck(state: dict, x: Tensor) -> Tensor:
    y = conv(state, 'extra.branch.0', x, 2).relu()
    y = conv(state, 'extra.branch.1', y).relu()
    y = conv(state, 'extra.branch.2', y)
    return (y + conv(state, 'extra.shortcut', x, 2)).relu()


def convolutions(state: dict, x: Tensor) -> Tensor:
    return conv(state, 'extra.1', conv(state, 'extra.0', x).relu(), 2).relu()


def connect(state: dict, sources: list[Tensor]) -> list[Tensor]:
    """P6 to P3 as the paper draws them, returned finest first."""
    x = conv(state, 'blocks.3.lateral.0', sources[3]).relu()
    x = conv(state, 'blocks.3.lateral.1', x).relu()
    outputs = [conv(state, 'blocks.3.smooth', x).relu()]
    for i in (2, 1, 0):
        x = conv(state, f'blocks.{i}.lateral.0', sources[i]).relu()
        x = conv(state, f'blocks.{i}.lateral.1', x)
        x = (x + double(state, f'blocks.{i}.upsample', outputs[0])).relu()
        outputs.insert(0, conv(state, f'blocks.{i}.smooth', x).relu())
    return outputs


# --- tests -------------------------------------------------------------------------


@torch.no_grad()
def test_residual_form_equals_the_plain_functions():
    model, inputs = neck(norm_cfg=dict(type='BN')), maps()
    state = model.state_dict()
    sources = [*inputs, bottleneck(state, inputs[-1])]
    expected = [*sources, *connect(state, sources)]
    assert_close(list(model(inputs)), expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_form_of_vgg_equals_the_plain_functions():
    model, inputs = neck(extra='conv', l2_norm_scales=(10, 8)), maps()
    for layer in model.l2_norms:
        nn.init.uniform_(layer.weight, 5, 15)
    state = model.state_dict()
    sources = [*inputs, convolutions(state, inputs[-1])]
    for i in (0, 1):
        length = sources[i].square().sum(dim=1, keepdim=True).sqrt()
        weight = state[f'l2_norms.{i}.weight'][:, None, None]
        sources[i] = sources[i] / length * weight
    expected = [*sources, *connect(state, sources)]
    # L2Norm computes in float32.
    assert_close(list(model(inputs)), expected, rtol=1e-4, atol=1e-4)


def test_inputs_are_left_as_they_are():
    inputs = maps()
    before = [x.clone() for x in inputs]
    neck(norm_cfg=dict(type='BN'))(inputs)
    assert_close(inputs, before, rtol=0, atol=0)


def test_channels_and_sizes():
    outputs = neck(norm_cfg=dict(type='BN'))(maps())
    assert [tuple(x.shape[1:]) for x in outputs] == [
        *[(6, 16, 16), (8, 8, 8), (10, 4, 4), (512, 2, 2)],
        *[(12, 16, 16), (12, 8, 8), (12, 4, 4), (12, 2, 2)],
    ]


def test_scales_start_where_the_paper_says_and_are_learned():
    model = TransferConnection(WIDTHS, extra='conv', l2_norm_scales=(10, 8))
    model.init_weights()
    starts = [layer.weight.unique().tolist() for layer in model.l2_norms]
    assert starts == [[10.0], [8.0]]
    assert all(layer.weight.requires_grad for layer in model.l2_norms)


def test_gradient_of_an_empty_cell_is_a_number():
    """mmdet's L2Norm gives NaN where all channels are 0."""
    inputs = [torch.zeros_like(x).float().requires_grad_() for x in maps()]
    model = TransferConnection(WIDTHS, extra='conv', l2_norm_scales=(10, 8))
    sum(x.sum() for x in model(inputs)).backward()
    assert all(x.grad.isfinite().all() for x in inputs)


def test_unknown_extra_level_is_refused():
    with pytest.raises(ValueError, match="extra='pool': expected bottleneck or conv"):
        TransferConnection(WIDTHS, extra='pool')


def test_sizes_that_do_not_halve_are_refused():
    with pytest.raises(ValueError, match=r'maps of 18x18, 9x9, 4x4, 2x2: .* of 64'):
        neck(norm_cfg=dict(type='BN'))(maps(finest=18))
