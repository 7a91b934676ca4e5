"""MobileNetV3 as torchvision and timm publish it."""

import re
from collections.abc import Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename, rename_blocks

TORCHVISION = (
    (r'^features\.0\.0\.', 'stem.0.conv.'),
    (r'^features\.0\.1\.', 'stem.0.norm.'),
    (r'^features\.\d+\.0\.', 'stages.4.conv.'),
    (r'^features\.\d+\.1\.', 'stages.4.norm.'),
    (r'\.(expand|filter|project)\.0\.', r'.\1.conv.'),
    (r'\.(expand|filter|project)\.1\.', r'.\1.norm.'),
    (r'\.excite\.fc1\.', '.excite.reduce.'),
    (r'\.excite\.fc2\.', '.excite.expand.'),
    (r'^classifier\.0\.', 'head.hidden.'),
    (r'^classifier\.3\.', 'head.fc.'),
)
TIMM = (
    (r'^conv_stem\.', 'stem.0.conv.'),
    (r'^bn1\.', 'stem.0.norm.'),
    (r'\.se\.conv_', '.excite.'),
    (r'^conv_head\.', 'head.hidden.'),
    (r'^classifier\.', 'head.fc.'),
)
# A block is three convolutions, or two when it does not expand.
TIMM_CONVS = {
    3: ('conv_pw', 'expand', 'conv_dw', 'filter', 'conv_pwl', 'project'),
    2: ('conv_dw', 'filter', 'conv_pw', 'project'),
}


def _from_torchvision(state: Mapping, model: nn.Module) -> State:
    rules = []
    for name in model.block_names():
        parts = model.get_submodule(name).named_children()
        for i, (part, _) in enumerate(parts):
            rules.append((rf'^{name}\.block\.{i}\.', f'{name}.{part}.'))
    state = rename_blocks(state, r'features\.(\d+)(?=\.block\.)', model)
    return rename(state, (*rules, *TORCHVISION))


def _from_timm(state: Mapping, model: nn.Module) -> State:
    rules = list(TIMM)
    for key in state:
        if match := re.match(r'(blocks\.\d+\.\d+)\.conv\.', key):
            rules.append((rf'^{match[1]}\.conv\.', 'stages.4.conv.'))
            rules.append((rf'^{match[1]}\.bn1\.', 'stages.4.norm.'))
    for name in model.block_names():
        names = TIMM_CONVS[2 if model.get_submodule(name).expand is None else 3]
        for i, (theirs, ours) in enumerate(zip(names[::2], names[1::2], strict=True)):
            rules.append((rf'^{name}\.{theirs}\.', f'{name}.{ours}.conv.'))
            rules.append((rf'^{name}\.bn{i + 1}\.', f'{name}.{ours}.norm.'))
    state = rename(rename_blocks(state, r'blocks\.(\d+)\.(\d+)', model), rules)
    # Their hidden layer is a 1x1 convolution.
    return {
        k: v.flatten(1) if k == 'head.hidden.weight' else v for k, v in state.items()
    }


LAYOUTS = (
    Layout('torchvision', r'^features\.\d+\.block\.', _from_torchvision),
    Layout('timm', r'^conv_stem\.', _from_timm),
)
