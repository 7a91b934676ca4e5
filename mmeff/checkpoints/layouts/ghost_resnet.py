"""ResNet as torchvision and timm publish it, for `GhostResNet` with ``ratio=1``.

No weights of Ghost-ResNet-50 are public; the authors' file has no BatchNorm in its
Ghost modules, and weights of it would fit no other code.
"""

from collections.abc import Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename

RULES = (
    (r'^conv1\.', 'stem.0.conv.'),
    (r'^bn1\.', 'stem.0.norm.'),
    (r'^layer(\d)\.', lambda m: f'stages.{int(m[1]) - 1}.'),
    (r'\.conv(\d)\.', r'.conv\1.conv.'),
    (r'\.bn(\d)\.', r'.conv\1.norm.'),
    (r'\.downsample\.0\.', '.downsample.conv.'),
    (r'\.downsample\.1\.', '.downsample.norm.'),
    (r'^fc\.', 'head.fc.'),
)


def _convert(state: Mapping, model: nn.Module) -> State:
    return rename(state, RULES)


LAYOUTS = (Layout('torchvision and timm', r'^layer1\.0\.conv3\.weight$', _convert),)
