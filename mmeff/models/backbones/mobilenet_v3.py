"""MobileNetV3: inverted residuals with hard swish and squeeze-and-excitation.

https://arxiv.org/abs/1905.02244, Tables 1 and 2, here 'large' and 'small'::

    image -> 3x3/2, block -> 2 blocks -> 3 blocks -> 6 blocks -> 3 blocks -> 1x1
    stride             2          4           8          16          32       32
    channels          16         24          40         112         160      960

    image -> 3x3/2 -> 1 block -> 2 blocks -> 5 blocks -> 3 blocks -> 1x1
    stride      2         4          8          16          32        32
    channels   16        16         24          48          96       576
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from mmdet.models.utils import make_divisible
from torch import nn

from mmeff.models.backbones.base import find_arch
from mmeff.models.backbones.inverted_residual_net import BlockSpec, InvertedResidualNet
from mmeff.models.backbones.scaling import round_filters
from mmeff.models.layers import SqueezeExcite
from mmeff.models.layers.conv import activation
from mmeff.registry import MODELS


@dataclass(frozen=True)
class MobileNetV3Arch:
    """One table of the paper at width 1.

    Attributes:
        blocks: Kernel size, expansion factor, output channels, squeeze-and-excitation,
            activation (HSwish is the hard swish), stride.
        final: Channels of the last 1x1 convolution.
        hidden: Of the classifier's hidden layer.
    """

    blocks: tuple[tuple[int, float, int, bool, str, int], ...]
    final: int
    hidden: int


ARCHS = {
    'large': MobileNetV3Arch(
        (
            (3, 1, 16, False, 'ReLU', 1),
            (3, 4, 24, False, 'ReLU', 2),
            (3, 3, 24, False, 'ReLU', 1),
            (5, 3, 40, True, 'ReLU', 2),
            (5, 3, 40, True, 'ReLU', 1),
            (5, 3, 40, True, 'ReLU', 1),
            (3, 6, 80, False, 'HSwish', 2),
            (3, 2.5, 80, False, 'HSwish', 1),
            (3, 2.3, 80, False, 'HSwish', 1),
            (3, 2.3, 80, False, 'HSwish', 1),
            (3, 6, 112, True, 'HSwish', 1),
            (3, 6, 112, True, 'HSwish', 1),
            (5, 6, 160, True, 'HSwish', 2),
            (5, 6, 160, True, 'HSwish', 1),
            (5, 6, 160, True, 'HSwish', 1),
        ),
        final=960,
        hidden=1280,
    ),
    'small': MobileNetV3Arch(
        (
            (3, 1, 16, True, 'ReLU', 2),
            (3, 4.5, 24, False, 'ReLU', 2),
            (3, 3.67, 24, False, 'ReLU', 1),
            (5, 4, 40, True, 'HSwish', 2),
            (5, 6, 40, True, 'HSwish', 1),
            (5, 6, 40, True, 'HSwish', 1),
            (5, 3, 48, True, 'HSwish', 1),
            (5, 3, 48, True, 'HSwish', 1),
            (5, 6, 96, True, 'HSwish', 2),
            (5, 6, 96, True, 'HSwish', 1),
            (5, 6, 96, True, 'HSwish', 1),
        ),
        final=576,
        hidden=1024,
    ),
}


@MODELS.register_module()
class MobileNetV3(InvertedResidualNet):
    """MobileNetV3 backbone, or ImageNet classifier when `num_classes` is given.

    Shapes and errors as in `Backbone`; ``stages[4]`` is the last 1x1 convolution.

    Args:
        arch: 'large' or 'small'.
        widen_factor: Width multiplier; channels are rounded to multiples of 8. As in
            the published networks the stem has 16 channels or more and the classifier's
            hidden layer keeps its width.
        expansion_taps: See `InvertedResidualNet`. SSDLite (section 6.3) detects on
            ``out_indices=(2, 4), expansion_taps=(2,)``: 672 and 960 channels in 'large'.
        in_channels: Channels of the image.
        conv_cfg: Conv2d by default; ``dict(type='Conv2dAdaptivePadding')`` for weights
            from TensorFlow, timm's ``tf_mobilenetv3_*``.
        norm_cfg: ``dict(type='BN', eps=0.001, momentum=0.01)`` by default, as in the
            paper and torchvision; timm's own weights want ``eps=1e-5``.
        act_cfg: One activation for all layers instead of the paper's two.
        with_cp: Checkpoint every block: less memory, more time.
        dropout: Before the classifier.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.
    """

    def __init__(
        self,
        arch: str = 'large',
        widen_factor: float = 1.0,
        expansion_taps: Sequence[int] = (),
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
        spec = find_arch(ARCHS, arch)
        final = round_filters(spec.final, widen_factor)
        outer_act = act_cfg or {'type': 'HSwish'}
        super().__init__(
            _blocks(spec, widen_factor),
            final,
            in_channels=in_channels,
            stem_act=outer_act,
            final_act=outer_act,
            excite=_excite,
            expansion_taps=expansion_taps,
            drop_path_rate=0.0,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg or {'type': 'BN', 'eps': 0.001, 'momentum': 0.01},
            act_cfg=act_cfg,
            with_cp=with_cp,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            num_classes=num_classes,
            init_cfg=init_cfg,
        )
        self.head = None
        if num_classes:
            self.head = nn.Sequential(
                OrderedDict(
                    pool=nn.AdaptiveAvgPool2d(1),
                    flatten=nn.Flatten(),
                    hidden=nn.Linear(final, spec.hidden),
                    act=activation(outer_act),
                    dropout=nn.Dropout(dropout),
                    fc=nn.Linear(spec.hidden, num_classes),
                )
            )
        self.freeze()


def _blocks(spec: MobileNetV3Arch, widen_factor: float) -> list[BlockSpec]:
    blocks = []
    width = max(16, round_filters(16, widen_factor))
    for kernel_size, expansion, channels, excite, act, stride in spec.blocks:
        hidden = make_divisible(width * expansion, 8)
        out = round_filters(channels, widen_factor)
        reduced = make_divisible(hidden / 4, 8) if excite else 0
        blocks.append(BlockSpec(width, hidden, out, kernel_size, stride, reduced, act))
        width = out
    return blocks


def _excite(spec: BlockSpec) -> SqueezeExcite:
    act, gate = nn.ReLU(inplace=True), nn.Hardsigmoid(inplace=True)
    return SqueezeExcite(spec.hidden, spec.reduced, act, gate)
