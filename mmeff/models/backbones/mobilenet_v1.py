"""MobileNetV1: depthwise separable convolutions in a row.

https://arxiv.org/abs/1704.04861, Table 1::

    image -> 3x3/2, unit -> 2 units -> 2 units -> 6 units -> 2 units
    stride             2          4          8         16         32
    channels          64        128        256        512       1024
"""

from collections.abc import Sequence

from torch import Tensor, nn

from mmeff.models.backbones.base import Backbone
from mmeff.models.backbones.scaling import round_filters, round_repeats
from mmeff.models.layers import Block, conv_norm_act, linear_head
from mmeff.registry import MODELS

# Table 1, equal units in one row: channels, units. Every row but the first halves the
# size of the map in its first unit.
ROWS = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))


class SeparableUnit(Block):
    """Depthwise 3x3, then 1x1 convolution, each with norm and activation; Figure 3.

    ``(B, in_channels, H, W) -> (B, out_channels, ~H / stride, ~W / stride)``
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        with_cp: bool,
        layers: dict,
    ) -> None:
        super().__init__(with_cp)
        self.depthwise = conv_norm_act(
            in_channels, in_channels, 3, stride, groups=in_channels, **layers
        )
        self.pointwise = conv_norm_act(in_channels, out_channels, **layers)

    def _forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


@MODELS.register_module()
class MobileNetV1(Backbone):
    """MobileNetV1 backbone, or ImageNet classifier when `num_classes` is given.

    Shapes and errors as in `Backbone`; there is no ``stages[4]``.

    Args:
        widen_factor: Width multiplier of the paper's section 3.3; channels are rounded
            to multiples of 8, which changes nothing at 0.25, 0.5 and 0.75.
        depth_factor: Each row of `ROWS` has this many times its units, rounded up, as
            EfficientNet scales this network (https://arxiv.org/abs/1905.11946, Table 3).
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU6 by default. Of the
            published weights those of TensorFlow and timm have ReLU6, the Caffe
            detectors and pytorchcv ``act_cfg=dict(type='ReLU')``.
        with_cp: Checkpoint every unit: less memory, more time.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.

    Raises:
        ValueError: A factor is not positive.
    """

    def __init__(
        self,
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
        if min(widen_factor, depth_factor) <= 0:
            raise ValueError(
                f'widen_factor={widen_factor}, depth_factor={depth_factor}: expected '
                'numbers above 0'
            )
        widths = [round_filters(c, widen_factor) for c, _ in ROWS]
        repeats = [round_repeats(n, depth_factor) for _, n in ROWS]
        super().__init__(
            widths[1:], out_indices, frozen_stages, norm_eval, num_classes, init_cfg
        )
        layers = {
            'conv_cfg': conv_cfg,
            'norm_cfg': norm_cfg or {'type': 'BN'},
            'act_cfg': act_cfg or {'type': 'ReLU6'},
        }
        first = round_filters(32, widen_factor)
        inputs = [first, *widths]
        rows = [
            [
                SeparableUnit(
                    inputs[i] if k == 0 else widths[i],
                    widths[i],
                    2 if i > 0 and k == 0 else 1,
                    with_cp,
                    layers,
                )
                for k in range(repeats[i])
            ]
            for i in range(self.num_stages + 1)
        ]
        stem = conv_norm_act(in_channels, first, 3, 2, **layers)
        self.stem = nn.Sequential(stem, *rows[0])
        self.stages = nn.ModuleList(nn.Sequential(*row) for row in rows[1:])
        self.head = linear_head(widths[-1], num_classes)
        self.freeze()
