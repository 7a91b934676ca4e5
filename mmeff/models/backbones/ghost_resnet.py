"""ResNet of bottlenecks, dense or of Ghost modules (C-Ghost-ResNet).

- ResNet: https://arxiv.org/abs/1512.03385, stride on the 3x3 convolution (v1.5).
- Ghost-ResNet-50: https://arxiv.org/abs/1911.11907, section 4.1.

::

    image -> 7x7/2, max pool/2 -> 3 blocks -> 4 blocks -> 6 blocks -> 3 blocks
    stride                  4           4           8          16          32
    channels               64         256         512        1024        2048
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

from mmdet.models.utils import make_divisible
from torch import Tensor, nn

from mmeff.models.backbones.base import Backbone, find_arch
from mmeff.models.layers import Block, conv_norm_act, ghost_conv, linear_head
from mmeff.models.layers.conv import activation
from mmeff.registry import MODELS

# Depth: blocks in each stage.
ARCHS = {'50': (3, 4, 6, 3), '101': (3, 4, 23, 3), '152': (3, 8, 36, 3)}
STEM, WIDTHS, EXPANSION = 64, (64, 128, 256, 512), 4


class Bottleneck(Block):
    """1x1 to `width` channels, 3x3, 1x1 to four times as many, and a shortcut.

    ``(B, in_channels, H, W) -> (B, 4 * width, ~H / stride, ~W / stride)``

    Args:
        in_channels: Of the block.
        width: Channels of the 3x3 convolution.
        stride: Of the 3x3 convolution.
        conv: Makes a convolution with norm and activation, or a Ghost module.
        act_cfg: Activation after the sum.
        with_cp: See `Block`.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        conv: Callable[..., nn.Module],
        act_cfg: dict,
        with_cp: bool,
    ) -> None:
        super().__init__(with_cp)
        out = width * EXPANSION
        self.conv1 = conv(in_channels, width)
        self.conv2 = conv(width, width, 3, stride)
        self.conv3 = conv(width, out, linear=True)
        self.downsample = None
        if stride != 1 or in_channels != out:
            self.downsample = conv(in_channels, out, 1, stride, linear=True)
        self.act = activation(act_cfg)

    def _forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(x)))
        y += x if self.downsample is None else self.downsample(x)
        return self.act(y)


@MODELS.register_module()
class GhostResNet(Backbone):
    """Ghost-ResNet backbone, or ImageNet classifier when `num_classes` is given.

    Every convolution but the first is a Ghost module, those of the shortcuts too, as
    the authors describe it. Their published file differs from that: its Ghost modules
    have biases in place of BatchNorm, no activation before the cheap convolution, and
    parameters that take part in nothing. Here each half of a Ghost module has its
    BatchNorm, and the activation if any, as in GhostNet. Nothing gives the parameters
    that the paper prints: 13.0 M (s=2) and 6.5 M (s=4), here 13.95 M and 8.15 M; its
    multiply-adds of 2.2 G and 1.2 G agree.

    Shapes and errors as in `Backbone`.

    Args:
        arch: '50', '101' or '152', the number of layers; may be an int.
        ratio: Of the Ghost modules, the paper's s; 1 makes it ResNet, with the weights
            of torchvision and timm.
        cheap_kernel_size: Of the Ghost modules, the paper's d.
        widen_factor: Scales all channels, rounded to multiples of 8.
        depth_factor: Scales the blocks of each stage, rounded up.
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        with_cp: Checkpoint every block: less memory, more time.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.
    """

    def __init__(
        self,
        arch: str | int = '50',
        ratio: int = 2,
        cheap_kernel_size: int = 3,
        widen_factor: float = 1.0,
        depth_factor: float = 1.0,
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
        depths = [math.ceil(n * depth_factor) for n in find_arch(ARCHS, str(arch))]
        stem, *widths = (make_divisible(n * widen_factor, 8) for n in (STEM, *WIDTHS))
        out = [width * EXPANSION for width in widths]
        super().__init__(
            out, out_indices, frozen_stages, norm_eval, num_classes, init_cfg
        )
        norm_cfg, act_cfg = norm_cfg or {'type': 'BN'}, act_cfg or {'type': 'ReLU'}
        layers = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        conv = partial(
            ghost_conv, ratio=ratio, cheap_kernel_size=cheap_kernel_size, layers=layers
        )
        self.stem = nn.Sequential(
            conv_norm_act(in_channels, stem, 7, 2, **layers), nn.MaxPool2d(3, 2, 1)
        )
        self.stages = nn.ModuleList()
        inputs, strides = (stem, *out), (1, 2, 2, 2)
        for i in range(self.num_stages):
            first = Bottleneck(inputs[i], widths[i], strides[i], conv, act_cfg, with_cp)
            rest = (
                Bottleneck(out[i], widths[i], 1, conv, act_cfg, with_cp)
                for _ in range(depths[i] - 1)
            )
            self.stages.append(nn.Sequential(first, *rest))
        self.head = linear_head(out[-1], num_classes)
        self.freeze()
