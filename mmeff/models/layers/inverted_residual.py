"""The inverted residual of MobileNetV2, MobileNetV3 and EfficientNet (there: MBConv)."""

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from mmeff.models.layers.conv import Block, conv_norm_act


class InvertedResidual(Block):
    """Expand by 1x1, filter each channel, project back; MobileNetV2, section 3.3.

    ``(B, in_channels, H, W) -> (B, out_channels, ~H / stride, ~W / stride)``. The input
    is added when the shape stays; no activation follows the projection.

    Args:
        in_channels, out_channels: Of the block.
        hidden: Channels between; equal to `in_channels` means no expansion layer.
        kernel_size, stride: Of the depthwise convolution.
        excite: Module between filter and projection, such as squeeze-and-excitation.
        drop_path: Chance that a sample skips the block in training.
        with_cp: See `Block`.
        layers: `conv_cfg`, `norm_cfg` and `act_cfg` of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        layers: dict,
        excite: nn.Module | None = None,
        drop_path: float = 0.0,
        with_cp: bool = False,
    ) -> None:
        super().__init__(with_cp)
        self.identity = stride == 1 and in_channels == out_channels
        self.expand = None
        if hidden != in_channels:
            self.expand = conv_norm_act(in_channels, hidden, **layers)
        self.filter = conv_norm_act(
            hidden, hidden, kernel_size, stride, groups=hidden, **layers
        )
        self.excite = excite
        linear = {**layers, 'act_cfg': None}
        self.project = conv_norm_act(hidden, out_channels, **linear)
        self.drop_path = None
        if drop_path and self.identity:
            self.drop_path = StochasticDepth(drop_path, 'row')

    def _forward(self, x: Tensor) -> Tensor:
        return self.finish(x, x if self.expand is None else self.expand(x))

    def finish(self, x: Tensor, expanded: Tensor) -> Tensor:
        """The block from its expansion on, which detectors take as a feature map."""
        y = self.filter(expanded)
        if self.excite is not None:
            y = self.excite(y)
        y = self.project(y)
        if not self.identity:
            return y
        return x + (y if self.drop_path is None else self.drop_path(y))
