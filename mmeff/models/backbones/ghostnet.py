"""GhostNet: half of the feature maps are cheap filterings of the other half.

https://arxiv.org/abs/1911.11907 (C-GhostNet in https://arxiv.org/abs/2201.03297),
section 3 and Table 1::

    image -> 3x3/2, block -> 2 blocks -> 2 blocks -> 6 blocks -> 5 blocks -> 1x1
    stride             2          4           8          16          32       32
    channels          16         24          40         112         160      960
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mmdet.models.utils import make_divisible
from torch import Tensor, nn

from mmeff.models.backbones.base import Backbone, split_stages
from mmeff.models.layers import Block, GhostModule, SqueezeExcite, conv_norm_act
from mmeff.models.layers.conv import activation
from mmeff.registry import MODELS


@dataclass(frozen=True)
class BottleneckSpec:
    """One row of Table 1, at width 1."""

    kernel_size: int  # of the depthwise convolutions where the stride is 2
    hidden: int  # channels that the first Ghost module puts out
    out_channels: int
    excite: bool = False  # squeeze-and-excitation between the Ghost modules
    stride: int = 1


STEM, FINAL, HEAD = 16, 960, 1280
BLOCKS = (
    BottleneckSpec(3, 16, 16),
    BottleneckSpec(3, 48, 24, stride=2),
    BottleneckSpec(3, 72, 24),
    BottleneckSpec(5, 72, 40, excite=True, stride=2),
    BottleneckSpec(5, 120, 40, excite=True),
    BottleneckSpec(3, 240, 80, stride=2),
    BottleneckSpec(3, 200, 80),
    BottleneckSpec(3, 184, 80),
    BottleneckSpec(3, 184, 80),
    BottleneckSpec(3, 480, 112, excite=True),
    BottleneckSpec(3, 672, 112, excite=True),
    BottleneckSpec(5, 672, 160, excite=True, stride=2),
    BottleneckSpec(5, 960, 160),
    BottleneckSpec(5, 960, 160, excite=True),
    BottleneckSpec(5, 960, 160),
    BottleneckSpec(5, 960, 160, excite=True),
)


class GhostBottleneck(Block):
    """Two Ghost modules, the second linear, and a shortcut (section 3.2, Figure 3).

    ``(B, in_channels, H, W) -> (B, out_channels, ~H / stride, ~W / stride)``. With
    stride 2 a depthwise convolution stands between the modules. The shortcut is a
    depthwise and a 1x1 convolution when the shape changes. Only the first module and
    the squeeze-and-excitation have activations.

    Args:
        in_channels: Of the block.
        hidden: Channels between the modules.
        out_channels: Of the block.
        spec: Its kernel size, stride, and whether it has squeeze-and-excitation.
        with_cp: See `Block`.
        layers: `conv_cfg`, `norm_cfg` and `act_cfg` of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        spec: BottleneckSpec,
        with_cp: bool,
        layers: dict,
    ) -> None:
        super().__init__(with_cp)
        size, stride = spec.kernel_size, spec.stride
        linear = {**layers, 'act_cfg': None}
        self.ghost1 = GhostModule(in_channels, hidden, **layers)
        self.filter, self.excite, self.shortcut = None, None, None
        if stride == 2:
            self.filter = conv_norm_act(
                hidden, hidden, size, stride, groups=hidden, **linear
            )
        if spec.excite:
            act = activation(layers['act_cfg'])
            reduced = make_divisible(hidden * 0.25, 4)
            self.excite = SqueezeExcite(hidden, reduced, act, nn.Hardsigmoid())
        self.ghost2 = GhostModule(hidden, out_channels, linear=True, **layers)
        if stride == 2 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                conv_norm_act(
                    in_channels, in_channels, size, stride, groups=in_channels, **linear
                ),
                conv_norm_act(in_channels, out_channels, **linear),
            )

    def _forward(self, x: Tensor) -> Tensor:
        y = self.ghost1(x)
        if self.filter is not None:
            y = self.filter(y)
        if self.excite is not None:
            y = self.excite(y)
        y = self.ghost2(y)
        y += x if self.shortcut is None else self.shortcut(x)
        return y


@MODELS.register_module()
class GhostNet(Backbone):
    """GhostNet backbone, or ImageNet classifier when `num_classes` is given.

    Shapes and errors as in `Backbone`. A stage is all blocks of one stride, and its map
    the last of them: at stride 16 it has 112 channels, where timm's `features_only`
    gives the 80 after the strided block. ``stages[4]`` is the 1x1 convolution before
    the pooling.

    Args:
        widen_factor: Width multiplier, 0.5, 1.0, 1.1 (the paper's COCO detectors) and
            1.3 in the paper; channels are rounded to multiples of 4.
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        with_cp: Checkpoint every bottleneck: less memory, more time.
        dropout: Before the classifier.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        dropout: float = 0.2,
        num_classes: int = 0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        scale = partial(_scale, widen_factor)
        groups = split_stages(BLOCKS)
        widths = [scale(group[-1].out_channels) for group in groups]
        final = scale(FINAL)
        super().__init__(
            [*widths[1:], final],
            out_indices,
            frozen_stages,
            norm_eval,
            num_classes,
            init_cfg,
        )
        norm_cfg, act_cfg = norm_cfg or {'type': 'BN'}, act_cfg or {'type': 'ReLU'}
        layers = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        stem = scale(STEM)
        parts = [
            _blocks(group, width, scale, with_cp, layers)
            for group, width in zip(
                groups[: self.num_stages + 1], [stem, *widths], strict=False
            )
        ]
        self.stem = nn.Sequential(
            conv_norm_act(in_channels, stem, 3, 2, **layers), *parts[0]
        )
        self.stages = nn.ModuleList(nn.Sequential(*part) for part in parts[1:])
        if self.num_stages == len(groups):
            self.stages.append(conv_norm_act(widths[-1], final, **layers))
        self.head = _head(final, num_classes, act_cfg, dropout)
        self.freeze()


def _scale(widen_factor: float, channels: int) -> int:
    return make_divisible(channels * widen_factor, 4)


def _blocks(
    specs: Sequence[BottleneckSpec],
    width: int,
    scale: Callable[[int], int],
    with_cp: bool,
    layers: dict,
) -> list[GhostBottleneck]:
    """The bottlenecks of a stage whose input has `width` channels."""
    blocks = []
    for spec in specs:
        hidden, out = scale(spec.hidden), scale(spec.out_channels)
        blocks.append(GhostBottleneck(width, hidden, out, spec, with_cp, layers))
        width = out
    return blocks


def _head(
    channels: int, num_classes: int, act_cfg: dict, dropout: float
) -> nn.Sequential | None:
    """Pooling, a 1x1 convolution with bias and without norm, and the classifier."""
    if not num_classes:
        return None
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1),
            conv=nn.Conv2d(channels, HEAD, 1),
            act=activation(act_cfg),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(dropout),
            fc=nn.Linear(HEAD, num_classes),
        )
    )
