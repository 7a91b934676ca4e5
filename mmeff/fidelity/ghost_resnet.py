"""Ghost-ResNet-50, https://arxiv.org/abs/1911.11907, section 4.1, and ResNet-50 scaled.

The scaled ones are those of EfficientNet, https://arxiv.org/abs/1905.11946, Table 3.
"""

from mmeff.fidelity.row import Reference, Row

NO_LIBRARY = 'no library has it: the tests have a second implementation'
NOT_THE_PAPERS = (
    f"{NO_LIBRARY}. No reading of the paper gives its parameters; the authors' file has "
    'no BatchNorm in its Ghost modules'
)
# Crosswise they agree within a hundredth; as printed they are off by a tenth.
EXCHANGED = 'the paper prints d=4 as 16.2B and w=2 as 14.7B, probably exchanged'


def _row(name: str, params: int, macs: str, arguments: dict, **kwargs) -> Row:
    build = dict(type='GhostResNet', arch='50', num_classes=1000, **arguments)
    return Row(name, build, params, macs, **kwargs)


ROWS = (
    _row(
        'ResNet-50',
        25_557_032,
        '4.089G',
        dict(ratio=1),
        published=('25.6M', '4.1B'),
        reference=Reference('torchvision', 'resnet50'),
    ),
    _row(
        'Ghost-ResNet-50 s=2',
        13_953_512,
        '2.151G',
        dict(ratio=2),
        published=('13.0M', '2.2B'),
        note=NOT_THE_PAPERS,
    ),
    _row(
        'Ghost-ResNet-50 s=4',
        8_151_752,
        '1.182G',
        dict(ratio=4),
        published=('6.5M', '1.2B'),
        note=NOT_THE_PAPERS,
    ),
    _row(
        'ResNet-50 d=4',
        89_824_040,
        '14.571G',
        dict(ratio=1, depth_factor=4.0),
        published=(None, '16.2B'),
        reference=Reference('timm', 'resnet50', dict(layers=(12, 16, 24, 12))),
        note=EXCHANGED,
    ),
    _row(
        'ResNet-50 w=2',
        98_004_072,
        '16.117G',
        dict(ratio=1, widen_factor=2.0),
        published=(None, '14.7B'),
        note=f'{NO_LIBRARY}. {EXCHANGED}',
    ),
    _row(
        'ResNet-50 r=2',
        25_557_032,
        '16.351G',
        dict(ratio=1),
        size=448,
        published=(None, '16.4B'),
        reference=Reference('torchvision', 'resnet50'),
    ),
)
