"""The residual bottleneck that RefineDet adds to its backbones and heads."""

from torch import Tensor, nn

from mmeff.models.layers.conv import activation, conv_norm_act


class ProjectionBottleneck(nn.Module):
    """Residual bottleneck whose shortcut is a convolution, whatever the channels.

    ``(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))``.
    As in Caffe's ResNets the stride is on both 1x1 convolutions that read the input.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        norm_cfg: dict | None,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        norm, layers = (
            {'norm_cfg': norm_cfg},
            {'norm_cfg': norm_cfg, 'act_cfg': act_cfg},
        )
        self.shortcut = conv_norm_act(in_channels, out_channels, 1, stride, **norm)
        self.branch = nn.Sequential(
            conv_norm_act(in_channels, mid_channels, 1, stride, **layers),
            conv_norm_act(mid_channels, mid_channels, 3, **layers),
            conv_norm_act(mid_channels, out_channels, 1, **norm),
        )
        self.act = activation(act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.branch(x) + self.shortcut(x))
