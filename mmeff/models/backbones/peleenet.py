"""PeleeNet: a small DenseNet of ordinary convolutions, with two-way dense layers.

https://arxiv.org/abs/1804.06882, section 2 and Table 1::

    image -> stem -> stages[0] -> stages[1] -> stages[2] -> stages[3]
    stride    4       4            8            16           32
    channels  32      128          256          512          704
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmeff.models.backbones.base import Backbone
from mmeff.models.layers import Block, conv_norm_act, linear_head
from mmeff.registry import MODELS

STEM_CHANNELS = 32
BRANCH_CHANNELS = 16  # each branch of a dense layer adds half of the growth rate, 32


@dataclass(frozen=True)
class PeleeStage:
    """One dense stage of Table 1."""

    num_layers: int
    bottleneck_width: int  # of the 1x1 convolutions, in units of a branch's channels


STAGES = (PeleeStage(3, 1), PeleeStage(4, 2), PeleeStage(8, 4), PeleeStage(6, 4))


class PeleeStem(nn.Module):
    """Stem of section 2: a convolution and a max pool, side by side, at stride 4.

    ``(B, in_channels, H, W) -> (B, 32, ~H / 4, ~W / 4)``
    """

    def __init__(self, in_channels: int, layers: dict) -> None:
        super().__init__()
        width = STEM_CHANNELS
        self.first = conv_norm_act(in_channels, width, 3, 2, **layers)
        # Rounds up, as the convolution beside it does.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.branch = nn.Sequential(
            conv_norm_act(width, width // 2, **layers),
            conv_norm_act(width // 2, width, 3, 2, **layers),
        )
        self.last = conv_norm_act(2 * width, width, **layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(torch.cat((self.pool(x), self.branch(x)), dim=1))


class DenseLayer(Block):
    """Two-way dense layer: branches that see 3x3 and 5x5 pixels, added as channels.

    ``(B, in_channels, H, W) -> (B, in_channels + 32, H, W)``
    """

    def __init__(
        self, in_channels: int, bottleneck: int, with_cp: bool, layers: dict
    ) -> None:
        super().__init__(with_cp)
        growth = BRANCH_CHANNELS
        self.branch1 = nn.Sequential(
            conv_norm_act(in_channels, bottleneck, **layers),
            conv_norm_act(bottleneck, growth, 3, **layers),
        )
        self.branch2 = nn.Sequential(
            conv_norm_act(in_channels, bottleneck, **layers),
            conv_norm_act(bottleneck, growth, 3, **layers),
            conv_norm_act(growth, growth, 3, **layers),
        )

    def _forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.branch1(x), self.branch2(x)), dim=1)


@MODELS.register_module()
class PeleeNet(Backbone):
    """PeleeNet backbone, or ImageNet classifier when `num_classes` is given.

    Shapes and errors as in `Backbone`. A stage puts out its transition, a 1x1
    convolution that keeps the channels; the 2x2 average pool after it begins the next
    stage. Pools round up as in Caffe, so 304 pixels give maps of 76, 38, 19 and 10; at
    an odd side the last window has one row or column, and the mean is of what is there.
    The authors' PyTorch classifier rounds down, which is the same where no map has an
    odd side (224 and all multiples of 32) and otherwise another function, or none: the
    two branches of its stem then differ in size.

    For weights from Caffe say ``norm_cfg=dict(type='BN', eps=0.001)``.

    Args:
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        with_cp: Checkpoint every dense layer: less memory, more time.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.
    """

    def __init__(
        self,
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
        widths = [STEM_CHANNELS]
        for spec in STAGES:
            widths.append(widths[-1] + spec.num_layers * 2 * BRANCH_CHANNELS)
        super().__init__(
            widths[1:], out_indices, frozen_stages, norm_eval, num_classes, init_cfg
        )
        norm_cfg, act_cfg = norm_cfg or {'type': 'BN'}, act_cfg or {'type': 'ReLU'}
        layers = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.stem = PeleeStem(in_channels, layers)
        self.stages = nn.ModuleList(
            _build_stage(i, widths[i], with_cp, layers) for i in range(self.num_stages)
        )
        self.head = linear_head(widths[self.num_stages], num_classes, dropout=0.05)
        self.freeze()


def _build_stage(
    index: int, channels: int, with_cp: bool, layers: dict
) -> nn.Sequential:
    """Average pool where the stride changes, dense layers, transition."""
    stage = OrderedDict()
    if index > 0:
        stage['pool'] = nn.AvgPool2d(2, ceil_mode=True)
    bottleneck = BRANCH_CHANNELS * STAGES[index].bottleneck_width
    for k in range(1, STAGES[index].num_layers + 1):
        stage[f'layer{k}'] = DenseLayer(channels, bottleneck, with_cp, layers)
        channels += 2 * BRANCH_CHANNELS
    stage['transition'] = conv_norm_act(channels, channels, **layers)
    return nn.Sequential(stage)
