"""The nets that the guidelines were measured on.

- G1 to G4: https://arxiv.org/abs/1807.11164 (ShuffleNetV2), section 2, and the figures
  of its appendix for G3. Ten equal blocks on maps ``(B, c, 56, 56)``.
- 1x1 bottlenecks: https://arxiv.org/abs/1904.09730 (VoVNet), Table 3.

The paper does not say whether norms stand between the convolutions of G1 to G4. Here
there are none, and no biases: both are element-wise work, which is the subject of G4.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmeff.models.backbones.vovnet import VoVNet

NUM_BLOCKS = 10


def equal_width(c1: int, c2: int) -> nn.Sequential:
    """G1: blocks of two 1x1 convolutions, from c1 to c2 channels and back."""
    return _repeat(lambda: nn.Sequential(_conv(c1, c2), _conv(c2, c1)))


def grouped(channels: int, groups: int) -> nn.Sequential:
    """G2: 1x1 convolutions in `groups` groups."""
    return _repeat(lambda: _conv(channels, channels, groups=groups))


def series(channels: int, fragments: int) -> nn.Sequential:
    """G3: blocks of 1x1 convolutions one after the other."""
    return _repeat(
        lambda: nn.Sequential(*(_conv(channels, channels) for _ in range(fragments)))
    )


def parallel(channels: int, fragments: int) -> nn.Sequential:
    """G3: blocks of 1x1 convolutions side by side, whose outputs are added up."""
    return _repeat(lambda: _Parallel(channels, fragments))


def bottlenecks(channels: int, relu: bool, shortcut: bool) -> nn.Sequential:
    """G4: ResNet's bottlenecks, with or without their element-wise operations.

    `channels` is the width of the block and four times that of its 3x3 convolution. The
    paper does not say which of both it gives; with the other its phone would have
    done 36 G multiply-accumulates a second, seven times as many as in G2.
    """
    return _repeat(lambda: _Bottleneck(channels, relu, shortcut))


def vovnet27_slim(bottleneck: bool) -> VoVNet:
    """VoVNet-27-slim up to stride 32, as in DSOD300, with or without 1x1 bottlenecks."""
    return VoVNet('27-slim', form='caffe', bottleneck=bottleneck, out_indices=(1, 2, 3))


class _Parallel(nn.ModuleList):
    """``(B, c, H, W) -> (B, c, H, W)``"""

    def __init__(self, channels: int, fragments: int) -> None:
        super().__init__(_conv(channels, channels) for _ in range(fragments))

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self
        y = first(x)
        for conv in others:
            y += conv(x)
        return y


class _Bottleneck(nn.Module):
    """``(B, c, H, W) -> (B, c, H, W)``"""

    def __init__(self, channels: int, relu: bool, shortcut: bool) -> None:
        super().__init__()
        width = channels // 4
        self.reduce = _conv(channels, width)
        self.conv = _conv(width, width, 3)
        self.expand = _conv(width, channels)
        self.act = torch.relu_ if relu else _nothing
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.reduce(x))
        y = self.act(self.conv(y))
        y = self.expand(y)
        if self.shortcut:
            y += x
        return self.act(y)


def _nothing(x: Tensor) -> Tensor:
    return x


def _repeat(make_block: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(*(make_block() for _ in range(NUM_BLOCKS)))


def _conv(
    in_channels: int, out_channels: int, kernel_size: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Convolution that keeps the size of a map and, as initialised, its variance."""
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        padding=kernel_size // 2,
        groups=groups,
        bias=False,
    )
    nn.init.kaiming_normal_(conv.weight, nonlinearity='linear')
    return conv
