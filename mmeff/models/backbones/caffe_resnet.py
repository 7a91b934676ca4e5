"""ResNet as its first Caffe models are, https://arxiv.org/abs/1512.03385."""

from collections.abc import Sequence

import torch
from mmdet.models.backbones import ResNet
from torch import nn

from mmeff.models.backbones.base import STRIDES
from mmeff.registry import MODELS


@MODELS.register_module()
class CaffeResNet(ResNet):
    """mmdet's ResNet with ``style='caffe'``, in the two things that it leaves out.

    The first pool is not padded and rounds up, and the first convolution may have a
    bias: the published model of ResNet-50 has one, that of ResNet-101 has none. Before
    a BatchNorm it changes nothing that is learned, but it counts 64 parameters.

    Keys as mmdet's. Image ``(B, 3, H, W)`` to maps of 256, 512, 1024 and 2048 channels
    at strides 4 to 32.

    Args:
        depth: 50, 101 or 152.
        conv1_bias: See above.
        out_indices: Stages to return, of 0 to 3.
        norm_eval: Unlike in mmdet BatchNorm is trained unless this says otherwise.
        **kwargs: Of mmdet's ResNet, but `style` and those that change strides or widths.
    """

    def __init__(
        self,
        depth: int,
        conv1_bias: bool = False,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        norm_eval: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(
            depth,
            out_indices=out_indices,
            style='caffe',
            norm_eval=norm_eval,
            **kwargs,
        )
        if conv1_bias:
            self.conv1.bias = nn.Parameter(torch.zeros(self.conv1.out_channels))
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self._freeze_stages()
        self.out_channels = tuple(self.feat_dim >> (3 - i) for i in out_indices)
        self.out_strides = tuple(STRIDES[i] for i in out_indices)
