"""ShuffleNetV2, https://arxiv.org/abs/1807.11164, Tables 6 and 8 and appendix.

The first rows are the authors' form. pytorchcv has its units, but shuffles after every
unit and by position; put together as the authors do it is the same network.
"""

from functools import partial

from torch import nn

from mmeff.checkpoints.layouts.rules import rename
from mmeff.fidelity.row import Reference, Row

REGROUPED = (
    "pytorchcv's units with the shuffle of the authors (even and odd channels, not after "
    'the last unit of a stage), without a classifier bias'
)
UNCONFIRMED = 'no library has it; a second implementation in the tests confirms it'
# From pytorchcv's names to the authors'; units before a stage: 0, 4, 12.
AUTHORS = (
    (
        r'^features\.stage(\d)\.unit(\d)',
        lambda m: f'features.{(0, 4, 12)[int(m[1]) - 1] + int(m[2]) - 1}',
    ),
    (r'^features\.init_block\.conv\.', 'first_conv.'),
    (r'^features\.final_block\.', 'conv_last.'),
    (r'\.conv1\.conv\.', '.branch_main.0.'),
    (r'\.conv1\.bn\.', '.branch_main.1.'),
    (r'\.dconv\.conv\.', '.branch_main.3.'),
    (r'\.dconv\.bn\.', '.branch_main.4.'),
    (r'\.conv2\.conv\.', '.branch_main.5.'),
    (r'\.conv2\.bn\.', '.branch_main.6.'),
    (r'\.shortcut_dconv\.conv\.', '.branch_proj.0.'),
    (r'\.shortcut_dconv\.bn\.', '.branch_proj.1.'),
    (r'\.shortcut_conv\.conv\.', '.branch_proj.2.'),
    (r'\.shortcut_conv\.bn\.', '.branch_proj.3.'),
    (r'^(first_conv|conv_last)\.conv\.', r'\1.0.'),
    (r'^(first_conv|conv_last)\.bn\.', r'\1.1.'),
    (r'^output\.', 'classifier.0.'),
)


def _like_the_authors(final: int, model: nn.Module) -> None:
    """Order of channels, last layers and key names of the authors' code."""
    from pytorchcv.models.common.tutti import ChannelShuffle2

    parts = model.features
    for stage in (parts.stage1, parts.stage2, parts.stage3):
        for unit in stage:
            unit.c_shuffle = ChannelShuffle2(channels=0, groups=2)
        stage[-1].c_shuffle = nn.Identity()
    # Their last layers are wider in 1.5 and 2.0 than the authors'.
    conv = parts.final_block.conv
    parts.final_block.conv = nn.Conv2d(conv.in_channels, final, 1, bias=False)
    parts.final_block.bn = nn.BatchNorm2d(final)
    model.output = nn.Linear(final, 1000, bias=False)
    model.register_state_dict_post_hook(_name_like_the_authors)


def _name_like_the_authors(model: nn.Module, state: dict, *_) -> None:
    renamed = rename(state, AUTHORS)
    state.clear()
    state.update(renamed)


def _megvii(arch: str, theirs: str, params: int, macs: str, published: tuple) -> Row:
    final = 2048 if arch == '2.0' else 1024
    return Row(
        f'ShuffleNetV2 {arch}',
        dict(type='ShuffleNetV2', arch=arch, num_classes=1000),
        params,
        macs,
        published=published,
        reference=Reference(
            'pytorchcv', theirs, adapt=partial(_like_the_authors, final)
        ),
        note=REGROUPED,
    )


def _torchvision(arch: str, params: int, macs: str) -> Row:
    return Row(
        f"ShuffleNetV2 {arch}, form 'torchvision'",
        dict(type='ShuffleNetV2', arch=arch, form='torchvision', num_classes=1000),
        params,
        macs,
        reference=Reference('torchvision', f'shufflenet_v2_x{arch.replace(".", "_")}'),
    )


ROWS = (
    _megvii('0.5', 'shufflenetv2b_wd2', 1_365_792, '40.5M', ('1.4M', '41M')),
    _megvii('1.0', 'shufflenetv2b_w1', 2_278_760, '145.8M', ('2.3M', '146M')),
    _megvii('1.5', 'shufflenetv2b_w3d2', 3_506_720, '299.0M', ('3.5M', '299M')),
    _megvii('2.0', 'shufflenetv2b_w2', 7_402_600, '590.8M', ('7.4M', '591M')),
    _torchvision('0.5', 1_366_792, '40.5M'),
    _torchvision('1.0', 2_278_604, '144.9M'),
    _torchvision('1.5', 3_503_624, '295.8M'),
    _torchvision('2.0', 7_393_996, '583.3M'),
    Row(
        'ShuffleNetV2 50',
        dict(type='ShuffleNetV2', arch='50', num_classes=1000),
        16_575_898,
        '2.315G',
        published=(None, '2.3G'),
        note=f'{UNCONFIRMED}; the paper does not say which form, both have 2.3G',
    ),
    Row(
        'ShuffleNetV2 2.0 + SE',
        dict(type='ShuffleNetV2', arch='2.0', se=True, num_classes=1000),
        10_412_194,
        '593.8M',
        published=(None, '597M'),
        note=f"{UNCONFIRMED}; hidden layer as said for 'se-164', 0.5 % fewer MACs than "
        'printed',
    ),
    Row(
        'ShuffleNetV2 se-164',
        dict(type='ShuffleNetV2', arch='se-164', num_classes=1000),
        133_115_062,
        '12.604G',
        published=(None, '12.7G'),
        note=f'{UNCONFIRMED}; 0.8 % fewer MACs than printed',
    ),
)
