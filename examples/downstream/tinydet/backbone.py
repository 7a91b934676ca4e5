"""A backbone of the project, built from mmeff's layers.

VoVNet's idea, one concatenation at the end of a module, with GhostNet's cheap maps in place
of its 3x3 convolutions.
"""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from torch import nn

from mmeff.models.backbones.base import Backbone
from mmeff.models.layers import Block, GhostModule, conv_norm_act

LAYERS = {'norm_cfg': {'type': 'BN'}, 'act_cfg': {'type': 'ReLU'}}


class GhostAggregation(Block):
    """Three Ghost modules in a row, concatenated once with their input.

    ``(B, in_channels, H, W) -> (B, out_channels, H, W)``
    """

    def __init__(self, in_channels: int, out_channels: int, with_cp: bool) -> None:
        super().__init__(with_cp)
        width = out_channels // 2
        self.ghosts = nn.ModuleList(
            GhostModule(in_channels if i == 0 else width, width, 3) for i in range(3)
        )
        self.concat = conv_norm_act(in_channels + 3 * width, out_channels, **LAYERS)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [x]
        for ghost in self.ghosts:
            maps.append(ghost(maps[-1]))
        return self.concat(torch.cat(maps, dim=1))


@MODELS.register_module()
class GhostOSANet(Backbone):
    """Four stages at strides 4 to 32; arguments as of mmeff's backbones."""

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 96, 128),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(channels, out_indices, frozen_stages, norm_eval, 0, init_cfg)
        widths = [channels[0] // 2, *channels]
        self.stem = conv_norm_act(3, widths[0], 3, 2, **LAYERS)
        self.stages = nn.ModuleList(
            nn.Sequential(
                conv_norm_act(widths[i], widths[i], 3, 2, **LAYERS),
                GhostAggregation(widths[i], widths[i + 1], with_cp),
            )
            for i in range(self.num_stages)
        )
        self.head = None
        self.freeze()
