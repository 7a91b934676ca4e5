"""MobileNetV2 as torchvision and timm publish it."""

from collections.abc import Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename, rename_blocks

# features.0 is the stem, features.18 the last convolution, between them are blocks. The
# first block has no expansion.
TORCHVISION = (
    (r'^features\.0\.0\.', 'stem.0.conv.'),
    (r'^features\.0\.1\.', 'stem.0.norm.'),
    (r'^features\.18\.0\.', 'stages.4.conv.'),
    (r'^features\.18\.1\.', 'stages.4.norm.'),
    (r'^(stem\.1)\.conv\.0\.0\.', r'\1.filter.conv.'),
    (r'^(stem\.1)\.conv\.0\.1\.', r'\1.filter.norm.'),
    (r'^(stem\.1)\.conv\.1\.', r'\1.project.conv.'),
    (r'^(stem\.1)\.conv\.2\.', r'\1.project.norm.'),
    (r'\.conv\.0\.0\.', '.expand.conv.'),
    (r'\.conv\.0\.1\.', '.expand.norm.'),
    (r'\.conv\.1\.0\.', '.filter.conv.'),
    (r'\.conv\.1\.1\.', '.filter.norm.'),
    (r'\.conv\.2\.', '.project.conv.'),
    (r'\.conv\.3\.', '.project.norm.'),
    (r'^classifier\.1\.', 'head.fc.'),
)
# Blocks without expansion, the first row's: conv_dw, bn1, conv_pw, bn2.
TIMM = (
    (r'^conv_stem\.', 'stem.0.conv.'),
    (r'^bn1\.', 'stem.0.norm.'),
    (r'^conv_head\.', 'stages.4.conv.'),
    (r'^bn2\.', 'stages.4.norm.'),
    (r'^(stem\.[1-9]\d*)\.bn1\.', r'\1.filter.norm.'),
    (r'^(stem\.[1-9]\d*)\.conv_pw\.', r'\1.project.conv.'),
    (r'^(stem\.[1-9]\d*)\.bn2\.', r'\1.project.norm.'),
    (r'\.conv_pw\.', '.expand.conv.'),
    (r'\.bn1\.', '.expand.norm.'),
    (r'\.conv_dw\.', '.filter.conv.'),
    (r'\.bn2\.', '.filter.norm.'),
    (r'\.conv_pwl\.', '.project.conv.'),
    (r'\.bn3\.', '.project.norm.'),
    (r'^classifier\.', 'head.fc.'),
)


def _from_torchvision(state: Mapping, model: nn.Module) -> State:
    state = rename_blocks(state, r'features\.(\d+)(?=\.conv\.)', model)
    return rename(state, TORCHVISION)


def _from_timm(state: Mapping, model: nn.Module) -> State:
    return rename(rename_blocks(state, r'blocks\.(\d+)\.(\d+)', model), TIMM)


LAYOUTS = (
    Layout('torchvision', r'^features\.\d+\.conv\.', _from_torchvision),
    Layout('timm', r'^conv_stem\.', _from_timm),
)
