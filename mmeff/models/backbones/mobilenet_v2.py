"""MobileNetV2: inverted residuals with linear bottlenecks.

https://arxiv.org/abs/1801.04381, section 4 and Table 2::

    image -> 3x3/2, block -> 2 blocks -> 3 blocks -> 7 blocks -> 4 blocks -> 1x1
    stride             2          4           8          16          32       32
    channels          16         24          32          96         320     1280
"""

from collections.abc import Sequence

from mmdet.models.utils import make_divisible

from mmeff.models.backbones.inverted_residual_net import BlockSpec, InvertedResidualNet
from mmeff.models.backbones.scaling import round_repeats
from mmeff.models.layers import linear_head
from mmeff.registry import MODELS

# Table 2: expansion factor t, output channels c, repeats n, stride s of the first.
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@MODELS.register_module()
class MobileNetV2(InvertedResidualNet):
    """MobileNetV2 backbone, or ImageNet classifier when `num_classes` is given.

    Shapes and errors as in `Backbone`; ``stages[4]`` is the last 1x1 convolution. Its
    weights are those of torchvision and timm; mmdet's own class of this name numbers
    its outputs otherwise.

    Args:
        widen_factor: Width multiplier; channels are rounded to multiples of 8, and the
            last convolution has 1280 or more.
        depth_factor: Depth multiplier of EfficientNet's Table 3: every row of blocks is
            repeated so many times as often, rounded up.
        expansion_taps: See `InvertedResidualNet`. SSDLite (section 6.2) detects on
            ``out_indices=(2, 4), expansion_taps=(2,)``: 576 and 1280 channels.
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU6 by default.
        with_cp: Checkpoint every block: less memory, more time.
        dropout: Before the classifier.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        depth_factor: float = 1.0,
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
        act_cfg = act_cfg or {'type': 'ReLU6'}
        final = make_divisible(1280 * max(1.0, widen_factor), 8)
        super().__init__(
            _blocks(widen_factor, depth_factor),
            final,
            in_channels=in_channels,
            stem_act=act_cfg,
            final_act=act_cfg,
            excite=None,
            expansion_taps=expansion_taps,
            drop_path_rate=0.0,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg or {'type': 'BN'},
            act_cfg=act_cfg,
            with_cp=with_cp,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            num_classes=num_classes,
            init_cfg=init_cfg,
        )
        self.head = linear_head(final, num_classes, dropout)
        self.freeze()


def _blocks(widen_factor: float, depth_factor: float) -> list[BlockSpec]:
    blocks = []
    width = make_divisible(32 * widen_factor, 8)
    for expansion, channels, repeats, stride in ROWS:
        out = make_divisible(channels * widen_factor, 8)
        for i in range(round_repeats(repeats, depth_factor)):
            step = stride if i == 0 else 1
            blocks.append(BlockSpec(width, width * expansion, out, 3, step))
            width = out
    return blocks
