"""DenseNet: every layer reads the features of all layers before it in its block.

- https://arxiv.org/abs/1608.06993, section 3 and Table 1 (DenseNet-BC).
- https://arxiv.org/abs/1708.01241 (DSOD), Table 1: the backbone of that detector.

Dense blocks joined by transitions, 1x1 convolutions that may halve the channels::

    image -> 7x7/2 -> max pool, block, 1x1 -> pool, block, 1x1 -> pool, block, 1x1 -> ..
    stride     2              4                    8                   16

A stage puts out what its transition does before the next stage pools it, which has
passed no norm and no activation; the last stage of the classifiers ends in both.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmeff.models.backbones.base import Backbone, find_arch
from mmeff.models.layers import Block, conv_norm_act, linear_head, norm_act_conv
from mmeff.registry import MODELS


@dataclass(frozen=True)
class DenseNetArch:
    """Widths and depths of one variant.

    Attributes:
        stem: Channels of the convolutions before the first pool: one 7x7, or 3x3s.
        blocks: Dense layers in each block of each stage.
        growth: Channels that a dense layer adds, the paper's k.
        bottleneck: Channels of the 1x1 convolution in a dense layer.
        compression: Of a transition, the paper's theta.
        last: Channels of the last transition. None: in its place norm and activation.
    """

    stem: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]
    growth: int
    bottleneck: int
    compression: float = 0.5
    last: int | None = None


def _bc(stem: int, growth: int, *blocks: int) -> DenseNetArch:
    return DenseNetArch((stem,), tuple((n,) for n in blocks), growth, 4 * growth)


def _ds(stem: int, bottleneck: int, growth: int) -> DenseNetArch:
    blocks = ((6,), (8,), (8, 8))
    return DenseNetArch((stem, stem, 128), blocks, growth, bottleneck, 1, 256)


ARCHS = {
    '121': _bc(64, 32, 6, 12, 24, 16),
    '161': _bc(96, 48, 6, 12, 36, 24),
    '169': _bc(64, 32, 6, 12, 32, 32),
    '201': _bc(64, 32, 6, 12, 48, 32),
    # DSOD writes DS/A-B-k-theta: first convolution, bottleneck, growth, compression.
    'ds-64-64-16-1': _ds(64, 64, 16),
    'ds-64-192-48-1': _ds(64, 192, 48),
}


@dataclass(frozen=True)
class _BlockSpec:
    """A dense block and the transition after it."""

    in_channels: int
    num_layers: int
    grown: int  # channels after the block
    out_channels: int  # after the transition; if it has no convolution, `grown`
    convolution: bool


def _plan(spec: DenseNetArch) -> list[list[_BlockSpec]]:
    """Channels throughout, for each block of each stage."""
    plan, width = [], spec.stem[-1]
    remaining = sum(map(len, spec.blocks))
    for stage in spec.blocks:
        plan.append([])
        for num_layers in stage:
            remaining -= 1
            grown = width + num_layers * spec.growth
            out = int(grown * spec.compression) if remaining else spec.last
            block = _BlockSpec(width, num_layers, grown, out or grown, out is not None)
            plan[-1].append(block)
            width = block.out_channels
    return plan


class DenseLayer(Block):
    """Norm, activation, 1x1, norm, activation, 3x3 on all features before it.

    Maps ``(B, C_i, H, W)``, any number of them, -> ``(B, growth, H, W)``
    """

    def __init__(
        self, in_channels: int, spec: DenseNetArch, with_cp: bool, layers: dict
    ) -> None:
        super().__init__(with_cp)
        narrow = norm_act_conv(in_channels, spec.bottleneck, **layers)
        grow = norm_act_conv(spec.bottleneck, spec.growth, 3, **layers)
        # One Sequential: the second norm can be folded into the first convolution.
        self.layers = nn.Sequential(
            OrderedDict(
                [(f'{name}1', module) for name, module in narrow.items()]
                + [(f'{name}2', module) for name, module in grow.items()]
            )
        )

    def _forward(self, features: tuple[Tensor, ...]) -> Tensor:
        return self.layers(_join(features))


class DenseBlock(nn.ModuleList):
    """Dense layers in a row.

    ``(B, in_channels, H, W) -> (B, in_channels + len(self) * growth, H, W)``

    With `with_cp` no concatenation is kept for the backward pass, so that the memory of
    a block grows with its depth and not with the square of it; without, each layer
    extends the concatenation of the one before, which has fewer gradients to add up.
    """

    def __init__(
        self,
        in_channels: int,
        num_layers: int,
        spec: DenseNetArch,
        with_cp: bool,
        layers: dict,
    ) -> None:
        super().__init__(
            DenseLayer(in_channels + i * spec.growth, spec, with_cp, layers)
            for i in range(num_layers)
        )
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        features = (x,)
        for layer in self:
            features = (*features, layer(features))
            if not self.with_cp:
                features = (_join(features),)
        return _join(features)


def _join(features: tuple[Tensor, ...]) -> Tensor:
    return features[0] if len(features) == 1 else torch.cat(features, dim=1)


@MODELS.register_module()
class DenseNet(Backbone):
    """DenseNet backbone, or ImageNet classifier when `num_classes` is given.

    Shapes and errors as in `Backbone`; there is no ``stages[4]``. The archs 'ds-..' are
    the backbones of DSOD: they end at stride 16, ``out_indices`` goes to 2, and there is
    no classifier. 'ds-64-64-16-1' is also known as DenseNet-67.

    Args:
        arch: A key of `ARCHS`; those of ImageNet may be ints.
        form: 'pytorch' pads the first max pool and rounds sizes down, as torchvision
            does; 'caffe' pads no pool and rounds up, as RefineDet's backbones do. They
            share their weights. Those of DSOD always round up.
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        with_cp: Checkpoint every dense layer: much less memory, more time.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.

    Raises:
        ValueError: Unknown `arch` or `form`, or a classifier of an arch without one.
    """

    def __init__(
        self,
        arch: str | int = '121',
        form: str = 'pytorch',
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        num_classes: int = 0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        spec = find_arch(ARCHS, str(arch))
        if form not in ('pytorch', 'caffe'):
            raise ValueError(f'form={form!r}: expected pytorch or caffe')
        if num_classes and spec.last:
            raise ValueError(
                f'num_classes={num_classes}: {arch!r} is the backbone of a detector and '
                'has no classifier; expected 0'
            )
        plan = _plan(spec)
        channels = [stage[-1].out_channels for stage in plan]
        super().__init__(
            channels, out_indices, frozen_stages, norm_eval, num_classes, init_cfg
        )
        layers = {
            'conv_cfg': conv_cfg,
            'norm_cfg': norm_cfg or {'type': 'BN'},
            'act_cfg': act_cfg or {'type': 'ReLU'},
        }
        self.stem = _build_stem(in_channels, spec.stem, layers)
        self.stages = nn.ModuleList(
            _build_stage(i, plan[i], spec, form, with_cp, layers)
            for i in range(self.num_stages)
        )
        self.head = linear_head(channels[-1], num_classes)
        self.freeze()


def _build_stem(in_channels: int, widths: Sequence[int], layers: dict) -> nn.Sequential:
    kernel_size = 7 if len(widths) == 1 else 3
    inputs = (in_channels, *widths)
    return nn.Sequential(
        *(
            conv_norm_act(inputs[i], width, kernel_size, 1 if i else 2, **layers)
            for i, width in enumerate(widths)
        )
    )


def _build_stage(
    index: int,
    blocks: Sequence[_BlockSpec],
    spec: DenseNetArch,
    form: str,
    with_cp: bool,
    layers: dict,
) -> nn.Sequential:
    stage = OrderedDict(pool=_build_pool(index, spec, form))
    for k, block in enumerate(blocks, 1):
        stage[f'block{k}'] = DenseBlock(
            block.in_channels, block.num_layers, spec, with_cp, layers
        )
        transition = norm_act_conv(block.grown, block.out_channels, **layers)
        if not block.convolution:
            del transition['conv']
        stage[f'transition{k}'] = nn.Sequential(transition)
    return nn.Sequential(stage)


def _build_pool(index: int, spec: DenseNetArch, form: str) -> nn.Module:
    if spec.last:  # DSOD
        return nn.MaxPool2d(2, ceil_mode=True)
    caffe = form == 'caffe'
    if index:
        return nn.AvgPool2d(2, ceil_mode=caffe)
    return nn.MaxPool2d(3, stride=2, padding=0 if caffe else 1, ceil_mode=caffe)
