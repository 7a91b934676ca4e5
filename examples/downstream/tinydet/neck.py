"""A module of the project, registered the mmdet way."""

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import nn


@MODELS.register_module()
class PointwiseNeck(BaseModule):
    """One 1x1 convolution a level."""

    def __init__(self, in_channels: list[int], out_channels: int, init_cfg=None):
        super().__init__(init_cfg)
        self.convs = nn.ModuleList(nn.Conv2d(c, out_channels, 1) for c in in_channels)

    def forward(self, inputs):
        return tuple(conv(x) for conv, x in zip(self.convs, inputs, strict=True))
