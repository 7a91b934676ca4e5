"""ShuffleNetV2 as its authors, torchvision and OpenMMLab publish it."""

from collections.abc import Callable, Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename, rename_blocks
from mmeff.errors import UserError

# The authors and torchvision number the layers of a branch; activations have no keys.
NUMBERED = (
    (r'\.(?:branch_main|branch2)\.0\.', '.main.0.conv.'),
    (r'\.(?:branch_main|branch2)\.1\.', '.main.0.norm.'),
    (r'\.(?:branch_main|branch2)\.3\.', '.main.1.conv.'),
    (r'\.(?:branch_main|branch2)\.4\.', '.main.1.norm.'),
    (r'\.(?:branch_main|branch2)\.5\.', '.main.2.conv.'),
    (r'\.(?:branch_main|branch2)\.6\.', '.main.2.norm.'),
    (r'\.(?:branch_proj|branch1)\.0\.', '.proj.0.conv.'),
    (r'\.(?:branch_proj|branch1)\.1\.', '.proj.0.norm.'),
    (r'\.(?:branch_proj|branch1)\.2\.', '.proj.1.conv.'),
    (r'\.(?:branch_proj|branch1)\.3\.', '.proj.1.norm.'),
    (r'^(?:first_conv|conv1)\.0\.', 'stem.0.conv.'),
    (r'^(?:first_conv|conv1)\.1\.', 'stem.0.norm.'),
    (r'^(?:conv_last|conv5)\.0\.', 'stages.4.conv.'),
    (r'^(?:conv_last|conv5)\.1\.', 'stages.4.norm.'),
    (r'^(?:classifier\.0|fc)\.', 'head.fc.'),
)
# mmcv's ConvModule names its layers.
NAMED = (
    (r'\.branch1\.', '.proj.'),
    (r'\.branch2\.', '.main.'),
    (r'^(?:backbone\.)?conv1\.', 'stem.0.'),
    (r'^(?:backbone\.)?layers\.3\.', 'stages.4.'),
    (r'\.bn\.', '.norm.'),
)


def _converter(
    form: str, unit: str, rules: tuple
) -> Callable[[Mapping, nn.Module], State]:
    """Rename units and layers; refuse a model that wires the same weights otherwise."""

    def convert(state: Mapping, model: nn.Module) -> State:
        if model.form != form:
            raise UserError(
                f'these weights are of the form {form!r}, but the ShuffleNetV2 has '
                f'form={model.form!r}, which is another function of the same weights: '
                f'say form={form!r} in its config'
            )
        return rename(rename_blocks(state, unit, model), rules)

    return convert


LAYOUTS = (
    Layout(
        'official',
        r'^features\.\d+\.branch_main\.0\.weight',
        _converter('megvii', r'features\.(\d+)(?=\.branch_)', NUMBERED),
    ),
    Layout(
        'torchvision',
        r'^stage2\.0\.branch1\.0\.weight',
        _converter('torchvision', r'stage(\d)\.(\d+)', NUMBERED),
    ),
    Layout(
        'mmpretrain',
        r'^(backbone\.)?layers\.0\.0\.branch1\.0\.conv\.',
        _converter(
            'torchvision', r'(?:backbone\.)?layers\.(\d)\.(\d+)(?=\.branch)', NAMED
        ),
    ),
)
