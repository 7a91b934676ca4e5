"""The two bricks of every backbone here: convolution-norm-activation, and a block."""

import math
from collections import OrderedDict

import torch
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# As TensorFlow pads: more at the bottom and right, by what the size of the input needs.
SAME_PADDING = {'type': 'Conv2dAdaptivePadding'}
# mmcv builds these without an `inplace` argument.
NOT_IN_PLACE = ('Tanh', 'PReLU', 'Sigmoid', 'HSigmoid', 'Swish', 'GELU')


def conv_norm_act(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    *,
    bias: bool | None = None,
    conv_cfg: dict | None = None,
    norm_cfg: dict | None = None,
    act_cfg: dict | None = None,
) -> nn.Sequential:
    """Convolution, then norm and activation where they are given.

    Padded by half the kernel, so that only the stride changes the size of a map; with
    ``conv_cfg={'type': 'Conv2dAdaptivePadding'}`` as TensorFlow pads ('same'). The
    convolution has a bias when no norm follows, unless `bias` says so. mmcv's
    ConvModule in fewer steps: its bookkeeping costs a tenth of the time of a small
    layer on a CPU.

    Returns:
        A Sequential of `conv`, `norm` and `act`, those that there are.

    Raises:
        ValueError: A GroupNorm does not divide the channels.
    """
    if conv_cfg == SAME_PADDING and stride == 1:
        conv_cfg = None  # pads alike, without work of its own
    layers = OrderedDict()
    layers['conv'] = build_conv_layer(
        conv_cfg,
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=norm_cfg is None if bias is None else bias,
    )
    if norm_cfg is not None:
        layers['norm'] = normalisation(norm_cfg, out_channels)
    if act_cfg is not None:
        layers['act'] = activation(act_cfg)
    return nn.Sequential(layers)


def norm_act_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    *,
    conv_cfg: dict | None = None,
    norm_cfg: dict,
    act_cfg: dict,
) -> OrderedDict[str, nn.Module]:
    """Pre-activation: what `conv_norm_act` does, in the order of DenseNet.

    Returns:
        `norm`, `act` and `conv` (without bias), to be put in a Sequential.

    Raises:
        ValueError: A GroupNorm does not divide the channels.
    """
    return OrderedDict(
        norm=normalisation(norm_cfg, in_channels),
        act=activation(act_cfg),
        conv=build_conv_layer(
            conv_cfg,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=False,
        ),
    )


def activation(act_cfg: dict) -> nn.Module:
    """Activation layer, in place where the kind allows it."""
    if act_cfg['type'] not in NOT_IN_PLACE:
        act_cfg = {'inplace': True, **act_cfg}
    return build_activation_layer(act_cfg)


def normalisation(norm_cfg: dict, channels: int) -> nn.Module:
    """Norm layer.

    Raises:
        ValueError: A GroupNorm does not divide the channels.
    """
    groups = norm_cfg.get('num_groups')
    if groups and channels % groups:
        raise ValueError(
            f'norm_cfg={norm_cfg}: num_groups={groups} does not divide the {channels} '
            f'channels of a layer; {math.gcd(groups, channels)} does'
        )
    return build_norm_layer(norm_cfg, channels)[1]


class Block(nn.Module):
    """A unit of a backbone; with `with_cp` its activations are computed twice.

    Subclasses define `_forward`.
    """

    def __init__(self, with_cp: bool = False) -> None:
        super().__init__()
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and self.training and torch.is_grad_enabled():
            return checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError
