"""DSOD's dense prediction structure: of each map one half is learned, one half reused.

https://arxiv.org/abs/1708.01241, sections 3.1 and 3.2, Table 1.

The paper names the maps First (stride 8) to Sixth; each halves the grid, rounding up::

    DS/ DenseNets                          VoVNet, as in that paper's Table 2
    First  ──────────────────── First      stage3 ─────────────── First
      └─ pool, 1x1 ─┐                      stage4 ─────────────── Second
    Second's half ─ cat ─────── Second     stage5 ──┬──────────── Third
                          block ─ Third           block ───────── Fourth
                            :                       :

    block:  x ─┬─ 1x1 ─ 3x3/2 ─ cat ─ out      every convolution comes after
               └─ pool ─ 1x1 ───┘              norm and activation
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmeff.models.layers import norm_act_conv
from mmeff.registry import MODELS


def pooled(in_channels: int, out_channels: int, layers: dict) -> nn.Sequential:
    """The half that is reused: max pool, which rounds up as in Caffe, and 1x1.

    ``(B, in_channels, H, W) -> (B, out_channels, ceil(H / 2), ceil(W / 2))``
    """
    convolution = norm_act_conv(in_channels, out_channels, **layers)
    pool = nn.MaxPool2d(2, ceil_mode=True)
    return nn.Sequential(OrderedDict(pool=pool, **convolution))


def learned(in_channels: int, out_channels: int, layers: dict) -> nn.Sequential:
    """The half that is new: 1x1, and 3x3 with stride 2. Shapes as of `pooled`."""
    narrow = norm_act_conv(in_channels, out_channels, **layers)
    halve = norm_act_conv(out_channels, out_channels, 3, stride=2, **layers)
    # One Sequential: the second norm can be folded into the first convolution.
    return nn.Sequential(
        OrderedDict(
            [(f'{name}1', module) for name, module in narrow.items()]
            + [(f'{name}2', module) for name, module in halve.items()]
        )
    )


class DensePredictionBlock(nn.Module):
    """A map of half the size, both halves `width` channels wide.

    ``(B, in_channels, H, W) -> (B, 2 * width, ceil(H / 2), ceil(W / 2))``
    """

    def __init__(self, in_channels: int, width: int, layers: dict) -> None:
        super().__init__()
        self.learned = learned(in_channels, width, layers)
        self.pooled = pooled(in_channels, width, layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.learned(x), self.pooled(x)), dim=1)


@MODELS.register_module()
class DensePrediction(BaseModule):
    """Maps for prediction out of those of a backbone: these, and one for each block.

    Input: as many maps as `in_channels` has numbers, strides doubling, the backbone's
    convolutions before any pool. Output: a tuple of ``len(in_channels) + len(widths)``
    maps with `out_channels`; each of the new ones has half the grid of the one before,
    rounded up. At 300 pixels DS/ DenseNets give grids of 38, 19, 10, 5, 3 and 2, VoVNet
    in its Caffe form 37, 18, 9, 5, 3 and 2.

    Args:
        in_channels: Channels of the backbone's maps.
        join_channels: Channels that the last of these maps gets from the one before it,
            pooled: 256 for the DS/ DenseNets, whose backbone makes only half of Second.
            None takes it as it is.
        widths: Of the blocks; the maps have twice as many channels.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        init_cfg: By default the paper's: Xavier.

    Attributes:
        out_channels: Of all maps, what the head takes as its `in_channels`.

    Raises:
        ValueError: `join_channels` with a single map, or a GroupNorm does not divide the
            channels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        join_channels: int | None = None,
        widths: Sequence[int] = (256, 128, 128, 128),
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            init_cfg or {'type': 'Xavier', 'layer': 'Conv2d', 'distribution': 'uniform'}
        )
        layers = {
            'conv_cfg': conv_cfg,
            'norm_cfg': norm_cfg or {'type': 'BN'},
            'act_cfg': act_cfg or {'type': 'ReLU'},
        }
        channels = list(in_channels)
        self.join = None
        if join_channels is not None:
            if len(channels) < 2:
                raise ValueError(
                    f'join_channels={join_channels}: in_channels={channels} has one map; '
                    'expected two or more, the last of which gets channels of the one '
                    'before'
                )
            self.join = pooled(channels[-2], join_channels, layers)
            channels[-1] += join_channels
        self.blocks = nn.ModuleList()
        for width in widths:
            self.blocks.append(DensePredictionBlock(channels[-1], width, layers))
            channels.append(2 * width)
        self.out_channels = tuple(channels)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        maps = list(inputs)
        if self.join is not None:
            maps[-1] = torch.cat((maps[-1], self.join(maps[-2])), dim=1)
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return tuple(maps)
