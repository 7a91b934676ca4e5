"""The CIFAR-10 networks of the GhostNet paper: VGG-16 and ResNet-56 of Ghost modules.

https://arxiv.org/abs/1911.11907, section 4.1. Classifiers only, for
images of 32x32 pixels; ``ratio=1`` is the dense network that the paper compares with.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmeff.models.backbones.base import DEFAULT_INIT_CFG
from mmeff.models.layers import Block, conv_norm_act, ghost_conv, linear_head
from mmeff.registry import MODELS

LAYERS = {'norm_cfg': {'type': 'BN'}, 'act_cfg': {'type': 'ReLU'}}
# Channels of the 3x3 convolutions before each 2x2 max pool.
VGG16 = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
# 56 layers: a convolution, 3 stages of 9 blocks of 2, a linear layer.
RESNET56_WIDTHS, RESNET56_BLOCKS = (16, 32, 64), 9


@MODELS.register_module()
class GhostVGG16(BaseModule):
    """VGG-16 with BatchNorm and one hidden linear layer; all convolutions are ghosts.

    ``(B, 3, 32, 32) -> (B, num_classes)``

    Args:
        ratio: Of the Ghost modules, the paper's s; 1 makes it VGG-16.
        cheap_kernel_size: Of the Ghost modules, the paper's d.
        num_classes: Logits.
        init_cfg: Initialisation, as in `Backbone`.
    """

    def __init__(
        self,
        ratio: int = 2,
        cheap_kernel_size: int = 3,
        num_classes: int = 10,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT_CFG)
        features, width = [], 3
        for stage in VGG16:
            for out in stage:
                features.append(
                    ghost_conv(
                        width,
                        out,
                        3,
                        ratio=ratio,
                        cheap_kernel_size=cheap_kernel_size,
                        layers=LAYERS,
                    )
                )
                width = out
            features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        self.head = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                hidden=nn.Linear(width, width),
                norm=nn.BatchNorm1d(width),
                act=nn.ReLU(inplace=True),
                fc=nn.Linear(width, num_classes),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class BasicBlock(Block):
    """Two 3x3 Ghost modules, the second linear, and a shortcut without parameters.

    ``(B, in_channels, H, W) -> (B, out_channels, ~H / stride, ~W / stride)``. Where the
    shape changes, the shortcut takes every second pixel and adds channels of zeros
    (option A of the ResNet paper).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        conv: Callable[..., nn.Module],
    ) -> None:
        super().__init__()
        self.stride = stride
        self.zeros = (out_channels - in_channels) // 2  # on either side
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.conv2 = conv(out_channels, out_channels, 3, linear=True)

    def _forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, self.zeros, self.zeros))
        y += x
        return F.relu_(y)


@MODELS.register_module()
class GhostResNet56(BaseModule):
    """ResNet-56 of the ResNet paper's section 4.2; all but the first are ghosts.

    ``(B, 3, 32, 32) -> (B, num_classes)``. The paper's 0.43 M parameters and 63 M
    multiply-adds are those of ``cheap_kernel_size=1``, or of 3 with the cheap
    convolutions left out of the count.

    Args:
        ratio: Of the Ghost modules, the paper's s; 1 makes it ResNet-56.
        cheap_kernel_size: Of the Ghost modules, the paper's d.
        num_classes: Logits.
        init_cfg: Initialisation, as in `Backbone`.
    """

    def __init__(
        self,
        ratio: int = 2,
        cheap_kernel_size: int = 3,
        num_classes: int = 10,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT_CFG)
        conv = partial(
            ghost_conv, ratio=ratio, cheap_kernel_size=cheap_kernel_size, layers=LAYERS
        )
        width = RESNET56_WIDTHS[0]
        self.stem = conv_norm_act(3, width, 3, **LAYERS)
        self.stages = nn.ModuleList()
        for out in RESNET56_WIDTHS:
            first = BasicBlock(width, out, 1 if out == width else 2, conv)
            rest = (BasicBlock(out, out, 1, conv) for _ in range(RESNET56_BLOCKS - 1))
            self.stages.append(nn.Sequential(first, *rest))
            width = out
        self.head = linear_head(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x)
