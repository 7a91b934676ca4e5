"""DenseNet as torchvision and timm publish it, in the same names."""

from collections.abc import Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename

TORCHVISION = (
    # The files have norm.1 where the modules are called norm1 since PyTorch forbids dots.
    (r'\.(norm|conv)\.([12])\.', r'.\1\2.'),
    (r'^features\.conv0\.', 'stem.0.conv.'),
    (r'^features\.norm0\.', 'stem.0.norm.'),
    (
        r'^features\.denseblock(\d)\.denselayer(\d+)\.',
        lambda m: f'stages.{int(m[1]) - 1}.block1.{int(m[2]) - 1}.layers.',
    ),
    (
        r'^features\.transition(\d)\.',
        lambda m: f'stages.{int(m[1]) - 1}.transition1.',
    ),
    (r'^features\.norm5\.', 'stages.3.transition1.norm.'),
    (r'^classifier\.', 'head.fc.'),
)


def _from_torchvision(state: Mapping, model: nn.Module) -> State:
    return rename(state, TORCHVISION)


LAYOUTS = (Layout('torchvision', r'^features\.denseblock1\.', _from_torchvision),)
