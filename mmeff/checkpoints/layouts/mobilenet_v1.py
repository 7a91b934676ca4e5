"""MobileNetV1 as timm and pytorchcv publish it."""

from collections.abc import Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename, rename_blocks

TIMM = (
    (r'^conv_stem\.', 'stem.0.conv.'),
    (r'^bn1\.', 'stem.0.norm.'),
    (r'\.conv_dw\.', '.depthwise.conv.'),
    (r'\.bn1\.', '.depthwise.norm.'),
    (r'\.conv_pw\.', '.pointwise.conv.'),
    (r'\.bn2\.', '.pointwise.norm.'),
    (r'^classifier\.', 'head.fc.'),
)
PYTORCHCV = (
    (r'^features\.init_block\.', 'stem.0.'),
    (r'\.dw_conv\.', '.depthwise.'),
    (r'\.pw_conv\.', '.pointwise.'),
    (r'\.bn\.', '.norm.'),
    (r'^output\.', 'head.fc.'),
)


def _from_timm(state: Mapping, model: nn.Module) -> State:
    return rename(rename_blocks(state, r'blocks\.(\d+)\.(\d+)', model), TIMM)


def _from_pytorchcv(state: Mapping, model: nn.Module) -> State:
    blocks = r'features\.stage(\d+)\.unit(\d+)'
    return rename(rename_blocks(state, blocks, model), PYTORCHCV)


LAYOUTS = (
    Layout('timm', r'^conv_stem\.', _from_timm),
    Layout('pytorchcv', r'^features\.init_block\.', _from_pytorchcv),
)
