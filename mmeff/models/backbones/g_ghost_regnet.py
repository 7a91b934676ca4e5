"""G-GhostNet: RegNetX whose stages make half of their channels with one 1x1 convolution.

https://arxiv.org/abs/2201.03297 (GhostNets on heterogeneous devices), the section on
G-Ghost for GPUs. Features of one stage are alike, so most of its blocks are run on a
part of the channels::

    image -> 3x3/2, 32 -> stages[0] -> stages[1] -> stages[2] -> stages[3]
    stride   2               4            8            16           32
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmeff.models.backbones.base import Backbone, find_arch
from mmeff.models.layers import Block, conv_norm_act, linear_head
from mmeff.models.layers.conv import activation
from mmeff.registry import MODELS

STEM_CHANNELS = 32


@dataclass(frozen=True)
class RegNetXArch:
    """One RegNetX of https://arxiv.org/abs/2003.13678; the names are 0.1 GFLOPs."""

    depths: tuple[int, int, int, int]  # blocks in a stage
    widths: tuple[int, int, int, int]  # channels a stage puts out
    group_width: int  # channels in a group of the 3x3 convolutions


ARCHS = {
    '002': RegNetXArch((1, 1, 4, 7), (24, 56, 152, 368), 8),
    '004': RegNetXArch((1, 2, 7, 12), (32, 64, 160, 384), 16),
    '006': RegNetXArch((1, 3, 5, 7), (48, 96, 240, 528), 24),
    '008': RegNetXArch((1, 3, 7, 5), (64, 128, 288, 672), 16),
    '016': RegNetXArch((2, 4, 10, 2), (72, 168, 408, 912), 24),
    '032': RegNetXArch((2, 6, 15, 2), (96, 192, 432, 1008), 48),
    '040': RegNetXArch((2, 5, 14, 2), (80, 240, 560, 1360), 40),
    '064': RegNetXArch((2, 4, 10, 1), (168, 392, 784, 1624), 56),
    '080': RegNetXArch((2, 5, 15, 1), (80, 240, 720, 1920), 120),
    '120': RegNetXArch((2, 5, 11, 1), (224, 448, 896, 2240), 112),
    '160': RegNetXArch((2, 6, 13, 1), (256, 512, 896, 2048), 128),
    '320': RegNetXArch((2, 7, 13, 1), (336, 672, 1344, 2520), 168),
}


class Bottleneck(Block):
    """Block of RegNetX: 1x1, grouped 3x3 and 1x1 convolutions of one width, and a sum.

    ``(B, in_channels, H, W) -> (B, width, ~H / stride, ~W / stride)``. Where the shape
    changes, the input is projected by a 1x1 convolution.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        group_width: int,
        with_cp: bool,
        layers: dict,
    ) -> None:
        super().__init__(with_cp)
        linear = {**layers, 'act_cfg': None}
        groups = width // min(width, group_width)
        self.conv1 = conv_norm_act(in_channels, width, **layers)
        self.conv2 = conv_norm_act(width, width, 3, stride, groups, **layers)
        self.conv3 = conv_norm_act(width, width, **linear)
        self.downsample = None
        if stride != 1 or in_channels != width:
            self.downsample = conv_norm_act(in_channels, width, 1, stride, **linear)
        self.act = activation(layers['act_cfg'])

    def _forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(x)))
        y += x if self.downsample is None else self.downsample(x)
        return self.act(y)


def plain_stage(
    in_channels: int, width: int, depth: int, group_width: int, **common
) -> nn.Sequential:
    """Stage of RegNetX: `depth` blocks, the first with stride 2."""
    first = Bottleneck(in_channels, width, 2, group_width, **common)
    rest = (Bottleneck(width, width, 1, group_width, **common) for _ in range(1, depth))
    return nn.Sequential(first, *rest)


class GGhostStage(nn.Module):
    """Stage with ghost features: `depth` blocks, all but two of them narrow.

    ``(B, in_channels, H, W) -> (B, width, ~H / 2, ~W / 2)``. The first block gives
    `width` channels; some of them go through the narrow blocks, the others (the ghosts)
    through one 1x1 convolution. The mix adds to each ghost what the means over H and W
    of all these blocks' outputs say. The last block sees both parts.

    Args:
        in_channels, width, depth, group_width: As of `plain_stage`; `depth` >= 3.
        mix: Whether the ghosts get the mix.
        cheap_ratio: Part of the channels that are ghosts, the paper's lambda.
        with_cp, layers: Of the blocks and convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        depth: int,
        group_width: int,
        mix: bool,
        cheap_ratio: float,
        with_cp: bool,
        layers: dict,
    ) -> None:
        super().__init__()
        common = {'with_cp': with_cp, 'layers': layers}
        linear = {**layers, 'act_cfg': None}
        narrow_group, narrow = _narrow(width, group_width, cheap_ratio)
        cheap = width - narrow
        self.parts = (narrow, cheap)
        self.base = Bottleneck(in_channels, width, 2, group_width, **common)
        self.layers = nn.ModuleList(
            Bottleneck(narrow, narrow, 1, narrow_group, **common)
            for _ in range(depth - 2)
        )
        self.cheap = conv_norm_act(cheap, cheap, **linear)
        self.mix = None
        if mix:
            self.mix = nn.Sequential(
                conv_norm_act(width + (depth - 2) * narrow, cheap, **layers),
                conv_norm_act(cheap, cheap, **linear),
            )
        self.act = activation(layers['act_cfg'])
        self.end = Bottleneck(width, width, 1, group_width, **common)

    def forward(self, x: Tensor) -> Tensor:
        x = self.base(x)
        y, ghosts = x.split(self.parts, dim=1)
        outputs = [x]
        for block in self.layers:
            y = block(y)
            outputs.append(y)
        ghosts = self.cheap(ghosts)
        if self.mix is not None:
            ghosts += self._mix(outputs)
        return self.end(torch.cat((y, self.act(ghosts)), dim=1))

    def _mix(self, outputs: list[Tensor]) -> Tensor:
        """What to add to the ghosts, ``(B, cheap, 1, 1)``."""
        norm = getattr(self.mix[0], 'norm', None)
        one_value = len(outputs[0]) == 1 and isinstance(norm, nn.BatchNorm2d)
        if one_value and norm.training:
            raise ValueError(
                'GGhostRegNet got one image in training: BatchNorm of its mix sees one '
                'value per channel and needs more. Train with two images or more per '
                "device, or say norm_eval=True, norm_cfg=dict(type='GN', "
                'num_groups=...), or mix=False'
            )
        # Means of each output, not of their concatenation, which would be copied.
        means = [output.mean((2, 3), keepdim=True) for output in outputs]
        return self.mix(torch.cat(means, dim=1))


def _narrow(width: int, group_width: int, cheap_ratio: float) -> tuple[int, int]:
    """Group width and channels of the narrow blocks, a multiple of it."""
    group_width = int(group_width * 0.75)
    channels = int(width * (1 - cheap_ratio) / group_width) * group_width
    if not 0 < cheap_ratio < 1 or not channels:
        raise ValueError(
            f'cheap_ratio={cheap_ratio} leaves {channels} of {width} channels to the '
            f'narrow blocks of a stage: expected a ratio between 0 and 1 that leaves '
            f'{group_width}, one group, or more'
        )
    return group_width, channels


@MODELS.register_module()
class GGhostRegNet(Backbone):
    """G-Ghost RegNetX backbone, or ImageNet classifier when `num_classes` is given.

    Shapes and errors as in `Backbone`. Stages of three blocks or more are G-Ghost
    stages, the others those of RegNetX, as in the authors' code.

    With the mix, BatchNorm meets maps of 1x1: training needs two images or more per
    device (a ValueError says so otherwise), `norm_eval` or GroupNorm.

    Args:
        arch: A key of `ARCHS`. The authors published weights for '032', '040', '080'
            and '160', all with the mix.
        mix: Whether the ghosts learn from the other channels' means; 7 to 19 % of the
            parameters, hardly any multiply-adds.
        cheap_ratio: Part of the channels that are ghosts, the paper's lambda. The rest
            is rounded down to whole groups.
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        with_cp: Checkpoint every block: less memory, more time.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.
    """

    def __init__(
        self,
        arch: str,
        mix: bool = True,
        cheap_ratio: float = 0.5,
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
        spec = find_arch(ARCHS, arch)
        super().__init__(
            spec.widths, out_indices, frozen_stages, norm_eval, num_classes, init_cfg
        )
        norm_cfg, act_cfg = norm_cfg or {'type': 'BN'}, act_cfg or {'type': 'ReLU'}
        layers = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        common = {'with_cp': with_cp, 'layers': layers}
        ghost = {'mix': mix, 'cheap_ratio': cheap_ratio, **common}
        self.stem = conv_norm_act(in_channels, STEM_CHANNELS, 3, 2, **layers)
        self.stages = nn.ModuleList()
        width = STEM_CHANNELS
        for i in range(self.num_stages):
            shape = (width, spec.widths[i], spec.depths[i], spec.group_width)
            if spec.depths[i] > 2:
                self.stages.append(GGhostStage(*shape, **ghost))
            else:
                self.stages.append(plain_stage(*shape, **common))
            width = spec.widths[i]
        self.head = linear_head(width, num_classes, dropout=0.2)
        self.freeze()
