"""Counts against those done by hand, published ones and another library's."""

from dataclasses import astuple

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from mmeff.profiling.counts import (
    REST,
    Operations,
    count_operations,
    count_params,
    sum_parts,
)
from mmeff.profiling.operators import LayerCost

A, B = torch.ones(2, 3, 4, 5), torch.ones(2, 6, 4, 5)
ELEMENTS_A, ELEMENTS_B = 2 * 3 * 4 * 5, 2 * 6 * 4 * 5


class Block(nn.Module):
    """Shared convolution, functional product and residual sum, below other modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.scale = nn.Parameter(torch.ones(5, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(self.conv(x))) + x @ self.scale


def count(layer: nn.Module, *shape: int) -> Operations:
    return count_operations(lambda: layer.eval()(torch.zeros(shape)), layer)


def only_layer(layer: nn.Module, *shape: int) -> LayerCost:
    (cost,) = count(layer, *shape).layers
    return cost


def moved(run) -> int:
    return count_operations(run).elementwise_access


def test_strided_and_padded_convolution():
    cost = only_layer(nn.Conv2d(3, 8, 3, stride=2, padding=1), 2, 3, 9, 11)
    assert cost.output_shape == (2, 8, 5, 6)
    assert cost.macs == (2 * 8 * 5 * 6) * (3 * 3 * 3)
    assert cost.activations == 2 * 8 * 5 * 6
    # the maps of both images, the weight once
    assert cost.memory_access == 2 * (3 * 9 * 11 + 8 * 5 * 6) + 3 * 3 * 3 * 8
    assert (cost.op, cost.calls) == ('convolution', 1)
    assert (cost.kernel, cost.groups, cost.depthwise) == ((3, 3), 1, False)


def test_unpadded_convolution_without_bias_counts_the_same_operators():
    cost = only_layer(nn.Conv2d(4, 6, (1, 3), bias=False), 1, 4, 7, 9)
    assert cost.macs == (6 * 7 * 7) * (4 * 1 * 3)
    assert cost.memory_access == 4 * 7 * 9 + 6 * 7 * 7 + 1 * 3 * 4 * 6
    assert cost.kernel == (1, 3)


def test_depthwise_convolution():
    cost = only_layer(nn.Conv2d(8, 16, 3, padding=1, groups=8), 1, 8, 5, 5)
    assert cost.macs == (16 * 5 * 5) * (3 * 3)
    assert cost.memory_access == 8 * 5 * 5 + 16 * 5 * 5 + 3 * 3 * 8 * 16 // 8
    assert (cost.groups, cost.depthwise) == (8, True)


def test_grouped_convolution():
    cost = only_layer(nn.Conv2d(8, 4, 1, groups=2), 1, 8, 5, 5)
    assert cost.macs == (4 * 5 * 5) * (8 // 2)
    assert cost.memory_access == 8 * 5 * 5 + 4 * 5 * 5 + 1 * 1 * 8 * 4 // 2
    assert (cost.groups, cost.depthwise) == (2, False)


def test_convolution_of_one_channel_is_not_called_depthwise():
    assert not only_layer(nn.Conv2d(1, 4, 3), 1, 1, 5, 5).depthwise


def test_transposed_convolution():
    layer = nn.ConvTranspose2d(8, 4, 3, 2, padding=1, output_padding=1, groups=2)
    cost = only_layer(layer, 1, 8, 6, 7)
    assert cost.op == 'transposed_convolution'
    assert cost.output_shape == (1, 4, 12, 14)
    # input elements x weights that each of them meets
    assert cost.macs == (8 * 6 * 7) * (4 // 2 * 3 * 3)
    assert cost.activations == 4 * 12 * 14
    assert cost.memory_access == 8 * 6 * 7 + 4 * 12 * 14 + 3 * 3 * 8 * 4 // 2
    assert (cost.groups, cost.kernel) == (2, (3, 3))


@pytest.mark.parametrize('bias', [True, False])
def test_linear_on_a_sequence(bias):
    cost = only_layer(nn.Linear(7, 5, bias=bias), 2, 3, 7)
    assert cost.op == 'linear'
    assert cost.output_shape == (2 * 3, 5)
    assert cost.macs == (2 * 3 * 5) * 7
    assert cost.activations == 2 * 3 * 5
    assert cost.memory_access == 2 * 3 * 7 + 2 * 3 * 5 + 7 * 5
    assert (cost.groups, cost.kernel, cost.depthwise) == (1, (), False)


def test_batched_product():
    (cost,) = count_operations(
        lambda: torch.bmm(torch.ones(4, 2, 3), torch.ones(4, 3, 5))
    ).layers
    assert cost.op == 'matmul'
    assert cost.macs == 4 * 2 * 3 * 5
    assert cost.memory_access == 4 * (2 * 3 + 3 * 5 + 2 * 5)


def test_products_with_vectors():
    matrix, vector = torch.ones(4, 3), torch.ones(3)
    (first,) = count_operations(lambda: matrix @ vector).layers
    assert (first.macs, first.memory_access) == (4 * 3, 4 * 3 + 3 + 4)
    (second,) = count_operations(lambda: vector @ vector).layers
    assert (second.macs, second.memory_access) == (3, 3 + 3 + 1)


def test_fused_attention():
    query, key = torch.ones(1, 2, 5, 8), torch.ones(1, 2, 7, 8)
    (cost,) = count_operations(
        lambda: F.scaled_dot_product_attention(query, key, key)
    ).layers
    assert cost.op == 'attention'
    # two products for each of the two heads: with the keys, with the values
    assert cost.macs == 2 * (5 * 7 * 8 + 5 * 7 * 8)
    assert cost.activations == 2 * 5 * 8
    assert cost.memory_access == 2 * (5 * 8 + 7 * 8 + 7 * 8 + 5 * 8)


@pytest.mark.parametrize('need_weights', [True, False])
def test_attention_layer_is_not_missed_when_torch_would_fuse_it(need_weights):
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True).eval(), torch.ones(3, 5, 8)
    counted = count_operations(lambda: layer(x, x, x, need_weights=need_weights))
    products = 2 * (3 * 2 * 5 * 5 * 4)  # of two heads with four channels
    assert counted.macs == 3 * 5 * 8 * (3 * 8) + products + 3 * 5 * 8 * 8
    assert torch.backends.mha.get_fastpath_enabled()


def test_elementwise_operators_move_what_they_read_and_write():
    assert moved(lambda: F.relu(A)) == 2 * ELEMENTS_A
    assert moved(lambda: F.relu(A.clone(), inplace=True)) == 2 * 2 * ELEMENTS_A
    assert moved(lambda: A + A) == 3 * ELEMENTS_A
    assert moved(lambda: A.clone().add_(A)) == (2 + 3) * ELEMENTS_A
    assert moved(lambda: torch.cat([A, B], 1)) == 2 * (ELEMENTS_A + ELEMENTS_B)
    channel_weights = torch.ones(3, 1, 1)
    assert moved(lambda: A * channel_weights) == 2 * ELEMENTS_A + 3
    # the mean of each channel
    assert moved(lambda: A.mean((2, 3))) == ELEMENTS_A + 2 * 3


def test_what_is_overwritten_is_not_read():
    target = torch.empty_like(A)
    assert moved(lambda: target.copy_(A)) == 2 * ELEMENTS_A
    assert moved(lambda: target.zero_()) == ELEMENTS_A
    assert moved(lambda: A.new_zeros(7)) == 7
    assert moved(lambda: torch.ones_like(A)) == ELEMENTS_A


def test_views_and_allocations_move_nothing():
    def run():
        A.view(6, 20).t()[1:].unsqueeze(0).expand(2, 19, 6)
        A.reshape(2, -1).chunk(2, 1)
        A.detach().squeeze_()
        torch.empty_like(A)

    counted = count_operations(run)
    assert (counted.elementwise, counted.uncounted) == ({}, {})
    # a copy is made only where a reshape needs one
    assert moved(lambda: A.transpose(1, 2).reshape(-1)) == 2 * ELEMENTS_A


def test_integers_do_not_count():
    assert moved(lambda: torch.arange(5) + 1) == 0


def test_norm_and_pooling_read_and_write_their_maps():
    norm = count(nn.BatchNorm2d(3), 2, 3, 4, 5)
    # weight, bias, mean and variance of three channels
    assert norm.elementwise_access == 2 * ELEMENTS_A + 4 * 3
    # values, and the places that they were found at
    assert moved(lambda: F.max_pool2d(A, 2)) == ELEMENTS_A + 2 * (2 * 3 * 2 * 2)
    upsampled = moved(lambda: F.interpolate(A, scale_factor=2, mode='nearest'))
    assert upsampled == ELEMENTS_A + 4 * ELEMENTS_A


def test_operators_without_formula_count_no_macs_and_are_named():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    )
    counted = count(net, 1, 3, 4, 4)
    assert counted.macs == 3 * 4 * 16
    assert counted.flops == 2 * counted.macs
    assert counted.uncounted['aten::relu'] == 1
    assert any('batch_norm' in name for name in counted.uncounted)
    assert any('max_pool' in name for name in counted.uncounted)
    assert 'aten::convolution' not in counted.uncounted


def test_vision_operators_are_named_as_uncounted():
    layer = torchvision.ops.DeformConv2d(3, 4, 3)
    image, offset = torch.zeros(1, 3, 8, 8), torch.zeros(1, 18, 6, 6)
    counted = count_operations(lambda: layer(image, offset))
    assert counted.uncounted['torchvision::deform_conv2d'] == 1
    assert (counted.macs, counted.layers) == (0, ())
    boxes = [torch.tensor([[0.0, 0, 4, 4]])]
    counted = count_operations(lambda: torchvision.ops.roi_align(image, boxes, 2))
    assert counted.uncounted['torchvision::roi_align'] == 1


def test_like_calls_are_one_layer_and_others_are_not():
    conv = nn.Conv2d(3, 3, 1, bias=False)

    def heads():
        for side in (4, 2, 4):
            conv(torch.zeros(1, 3, side, side))

    large, small = count_operations(heads, conv).layers
    assert (large.calls, large.output_shape) == (2, (1, 3, 4, 4))
    assert (small.calls, small.output_shape) == (1, (1, 3, 2, 2))
    assert large.macs == 2 * (3 * 4 * 4) * 3
    assert large.activations == 2 * (3 * 4 * 4)
    # the weight is read in each call
    assert large.memory_access == 2 * (2 * 3 * 4 * 4 + 3 * 3)
    assert small.macs == (3 * 2 * 2) * 3


def test_whole_is_the_sum_of_its_layers():
    counted = count(Block(), 2, 3, 4, 5)
    pixels = 2 * 4 * 5
    assert counted.macs == 2 * (pixels * 3 * 3) + 2 * 3 * 4 * 5 * 5
    assert counted.activations == 2 * (3 * pixels) + 3 * pixels
    convolutions = 2 * (2 * 3 * pixels + 3 * 3)
    assert counted.memory_access == convolutions + (2 * 3 * pixels + 5 * 5)
    # ReLU, then the sum of two maps
    assert counted.elementwise_access == 2 * ELEMENTS_A + 3 * ELEMENTS_A


@pytest.mark.parametrize('mode', [torch.enable_grad, torch.inference_mode])
def test_every_gradient_mode_gives_the_same(mode):
    net = nn.Sequential(
        Block(), nn.BatchNorm2d(3), nn.Upsample(scale_factor=2), nn.Linear(10, 2)
    ).eval()

    def run():
        with mode():
            net(A)

    assert count_operations(run, net) == count_operations(lambda: net(A), net)


def test_no_memory_is_needed():
    with torch.device('meta'):
        net = torchvision.models.resnet18().eval()
        image = torch.empty(1, 3, 64, 64)
    on_meta = count_operations(lambda: net(image), net)
    real = torchvision.models.resnet18().eval()
    on_cpu = count_operations(lambda: real(torch.zeros(1, 3, 64, 64)), real)
    assert on_meta.layers == on_cpu.layers


def test_mixed_precision_counts_the_same_products():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 6, 5)).eval()

    def run():
        with torch.autocast('cpu', torch.bfloat16):
            return net(A)

    assert run().dtype == torch.bfloat16
    full = count_operations(lambda: net(A), net)
    assert count_operations(run, net).layers == full.layers


def test_shared_parameters_count_once_and_buffers_do_not():
    first = nn.Conv2d(4, 4, 3)  # 4 * 4 * 9 + 4
    net = nn.Sequential(first, nn.BatchNorm2d(4), first)  # 2 * 4 in the norm layer
    params = count_params(net)
    assert params.total == params.trainable == 148 + 8
    first.requires_grad_(False)
    assert count_params(net).trainable == 8
    assert count_params(net).total == 156


class Detector(nn.Module):
    """The parts of a detector with two stages, wired as mmdet does."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = nn.Linear(4, 2)
        self.roi_head.mask_head = nn.Conv2d(4, 1, 1)
        self.roi_head.forward = self.second_stage
        self.loss = nn.Identity()
        self.scale = nn.Parameter(torch.ones(7))

    def second_stage(self, x: Tensor) -> Tensor:
        return self.roi_head.mask_head(x), self.roi_head.bbox_head(x.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        mask, _ = self.roi_head.forward(self.backbone(x))
        return mask.sigmoid()


def test_parts_are_the_children_and_the_heads_of_a_second_stage():
    model = Detector()
    operations = count_operations(lambda: model(torch.ones(2, 3, 5, 5)), model)
    parts = {part['name']: part for part in sum_parts(model, operations, images=2)}
    backbone, box, mask, rest = (tuple(part.values())[1:] for part in parts.values())
    assert list(parts) == ['backbone', 'roi_head.bbox_head', 'roi_head.mask_head', REST]
    pixels = 5 * 5
    maps = [(3 + 4) * pixels, 4 + 2, (4 + 1) * pixels]  # of each layer and image
    weights = [3 * 4, 4 * 2, 4 * 1]
    access = [(m + w / 2) / 1e6 for m, w in zip(maps, weights, strict=True)]
    relu, mean, sigmoid = 2 * 4 * pixels, 4 * pixels + 4, 2 * pixels
    assert backbone == pytest.approx(
        (16e-6, 12 * pixels / 1e9, 4 * pixels / 1e6, access[0], relu / 1e6, None)
    )
    assert box == pytest.approx((10e-6, 8 / 1e9, 2 / 1e6, access[1], 0, None))
    assert mask == pytest.approx(
        (5e-6, 4 * pixels / 1e9, pixels / 1e6, access[2], 0, None)
    )
    assert rest == pytest.approx((7e-6, 0, 0, 0, (mean + sigmoid) / 1e6, None))


def test_parts_have_the_times_of_what_lies_in_them():
    model = Detector()
    operations = count_operations(lambda: model(torch.ones(1, 3, 5, 5)), model)
    times_ms = {'backbone.0': 3.0, 'backbone.1': 1.0, '': 0.5}
    parts = sum_parts(model, operations, images=2, times_ms=times_ms)
    assert [part['latency_ms'] for part in parts] == [2.0, 0.0, 0.0, 0.25]


def test_names_that_begin_alike_are_different_parts():
    net = nn.ModuleDict({'conv': nn.Conv2d(3, 3, 1), 'conv2': nn.Conv2d(3, 6, 1)})
    operations = count_operations(lambda: net['conv2'](net['conv'](A)), net)
    first, second = sum_parts(net, operations)
    assert first['macs_g'] == pytest.approx(2 * 20 * 3 * 3 / 1e9)
    assert second['macs_g'] == pytest.approx(2 * 20 * 3 * 6 / 1e9)


@pytest.mark.parametrize('name', ['resnet18', 'mobilenet_v2', 'regnet_y_400mf'])
def test_counts_equal_the_published_ones(name):
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    net = torchvision.models.get_model(name)
    assert count_params(net).total == published['num_params']
    macs = count(net, 1, 3, 224, 224).macs
    assert macs / 1e9 == pytest.approx(published['_ops'], abs=0.0006)


@pytest.mark.parametrize('name', ['resnet18', 'shufflenet_v2_x1_0'])
def test_macs_and_activations_equal_those_of_fvcore(name):
    fvcore = pytest.importorskip('fvcore.nn')
    net, image = torchvision.models.get_model(name).eval(), torch.zeros(1, 3, 96, 96)
    counted = count(net, 1, 3, 96, 96)
    flops = fvcore.FlopCountAnalysis(net, image).unsupported_ops_warnings(False)
    by_operator = flops.by_operator()  # of multiply-accumulates, in spite of its name
    assert counted.macs == by_operator['conv'] + by_operator['linear']
    activations = fvcore.ActivationCountAnalysis(net, image)
    assert counted.activations == activations.unsupported_ops_warnings(False).total()


def test_costs_are_plain_numbers():
    values = astuple(only_layer(nn.Conv2d(3, 8, 3), 1, 3, 9, 9))
    assert {type(value) for value in values} == {str, int, tuple, bool}
