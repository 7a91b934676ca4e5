"""The Ghost module: more feature maps from cheap operations.

https://arxiv.org/abs/1911.11907, section 3.1.
"""

import math

import torch
from torch import Tensor, nn

from mmeff.models.layers.conv import conv_norm_act
from mmeff.registry import MODELS


@MODELS.register_module()
class GhostModule(nn.Module):
    """Drop-in for a convolution, its norm and its activation.

    A primary convolution makes ``ceil(out_channels / ratio)`` maps; a depthwise one
    makes ``ratio - 1`` ghosts of each; both kinds are concatenated. About `ratio` times
    fewer parameters and MACs than the convolution that it replaces.
    ``(B, in_channels, H, W) -> (B, out_channels, ~H / stride, ~W / stride)``

    Args:
        in_channels, out_channels: Of the module.
        kernel_size, stride: Of the primary convolution.
        ratio: The paper's s, 2 or more.
        cheap_kernel_size: The paper's d, odd.
        linear: No activation, as at the end of a bottleneck.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.

    Raises:
        ValueError: `ratio` or `cheap_kernel_size` is not as said above.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        ratio: int = 2,
        cheap_kernel_size: int = 3,
        linear: bool = False,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        _check(ratio, cheap_kernel_size)
        layers = {
            'conv_cfg': conv_cfg,
            'norm_cfg': norm_cfg or {'type': 'BN'},
            'act_cfg': None if linear else act_cfg or {'type': 'ReLU'},
        }
        primary = math.ceil(out_channels / ratio)
        ghosts = primary * (ratio - 1)
        self.primary = conv_norm_act(
            in_channels, primary, kernel_size, stride, **layers
        )
        self.cheap = conv_norm_act(
            primary, ghosts, cheap_kernel_size, groups=primary, **layers
        )
        # More ghosts than needed where the ratio does not divide the channels.
        wanted = out_channels - primary
        self.num_ghosts = wanted if wanted < ghosts else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.primary(x)
        ghosts = self.cheap(x)
        if self.num_ghosts is not None:
            ghosts = ghosts[:, : self.num_ghosts]
        return torch.cat((x, ghosts), dim=1)


def ghost_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    *,
    ratio: int,
    cheap_kernel_size: int,
    layers: dict,
    linear: bool = False,
) -> nn.Module:
    """A Ghost module, or the convolution that it stands for when `ratio` is 1."""
    shape = (in_channels, out_channels, kernel_size, stride)
    if ratio == 1:
        return conv_norm_act(
            *shape, **{**layers, 'act_cfg': None} if linear else layers
        )
    return GhostModule(*shape, ratio, cheap_kernel_size, linear, **layers)


def _check(ratio: int, cheap_kernel_size: int) -> None:
    if not isinstance(ratio, int) or ratio < 2:
        raise ValueError(f'ratio={ratio!r}: expected an integer of 2 or more')
    if cheap_kernel_size % 2 != 1:
        raise ValueError(
            f'cheap_kernel_size={cheap_kernel_size!r}: expected an odd integer, which '
            'keeps the size of the map'
        )
