"""Key layouts of published weights, one family a file.

A layout is recognised by a key that no other layout of the family has, and converts a
state dict to the names of our backbone.
"""

from collections.abc import Mapping

from mmeff.checkpoints.layouts import (
    densenet,
    efficientnet,
    g_ghost_regnet,
    ghost_resnet,
    ghostnet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    peleenet,
    shufflenet_v2,
    vovnet,
)
from mmeff.checkpoints.layouts.rules import Layout
from mmeff.errors import UserError

# Last, because timm also numbers stages.
OWN = Layout('mmeff', r'^stages\.\d', lambda state, model: dict(state))
LAYOUTS = {
    'DenseNet': densenet.LAYOUTS,
    'EfficientNet': efficientnet.LAYOUTS,
    'GGhostRegNet': g_ghost_regnet.LAYOUTS,
    'GhostNet': ghostnet.LAYOUTS,
    'GhostResNet': ghost_resnet.LAYOUTS,
    'MobileNetV1': mobilenet_v1.LAYOUTS,
    'MobileNetV2': mobilenet_v2.LAYOUTS,
    'MobileNetV3': mobilenet_v3.LAYOUTS,
    'PeleeNet': peleenet.LAYOUTS,
    'ShuffleNetV2': shufflenet_v2.LAYOUTS,
    'VoVNet': vovnet.LAYOUTS,
}


def find_layout(family: str, state: Mapping, name: str) -> Layout:
    """Layout of a state dict that was read from a file called `name`.

    Raises:
        UserError: It is in no known layout of this family.
    """
    layouts = (*LAYOUTS.get(family, ()), OWN)
    for layout in layouts:
        if layout.matches(state):
            return layout
    known = ', '.join(layout.name for layout in layouts)
    raise UserError(
        f'{name} is not a {family} in a known layout ({known}): its keys begin '
        f'{", ".join(list(state)[:3])}. For a detector say prefix="backbone." in init_cfg'
    )
