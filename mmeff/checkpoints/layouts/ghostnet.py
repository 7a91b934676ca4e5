"""GhostNet as its authors and timm publish it: with the same keys."""

from collections.abc import Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename, rename_blocks

RULES = (
    (r'^conv_stem\.', 'stem.0.conv.'),
    (r'^bn1\.', 'stem.0.norm.'),
    (r'^blocks\.9\.0\.conv\.', 'stages.4.conv.'),
    (r'^blocks\.9\.0\.bn1\.', 'stages.4.norm.'),
    (r'^conv_head\.', 'head.conv.'),
    (r'^classifier\.', 'head.fc.'),
    (r'\.primary_conv\.0\.', '.primary.conv.'),
    (r'\.primary_conv\.1\.', '.primary.norm.'),
    (r'\.cheap_operation\.0\.', '.cheap.conv.'),
    (r'\.cheap_operation\.1\.', '.cheap.norm.'),
    (r'\.conv_dw\.', '.filter.conv.'),
    (r'\.bn_dw\.', '.filter.norm.'),
    (r'\.se\.conv_', '.excite.'),
    (r'\.shortcut\.0\.', '.shortcut.0.conv.'),
    (r'\.shortcut\.1\.', '.shortcut.0.norm.'),
    (r'\.shortcut\.2\.', '.shortcut.1.conv.'),
    (r'\.shortcut\.3\.', '.shortcut.1.norm.'),
)


def _convert(state: Mapping, model: nn.Module) -> State:
    return rename(rename_blocks(state, r'blocks\.(\d+)\.(\d+)', model), RULES)


LAYOUTS = (Layout('official and timm', r'\.ghost1\.primary_conv\.', _convert),)
