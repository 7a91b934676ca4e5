"""Ghost-ResNet-50, https://arxiv.org/abs/1911.11907, section 4.1, and ResNet-50."""

from mmeff.fidelity.row import Reference, Row

NO_LIBRARY = 'no library has it: the tests have a second implementation'
NOT_THE_PAPERS = (
    f"{NO_LIBRARY}. No reading of the paper gives its parameters; the authors' file has "
    'no BatchNorm in its Ghost modules'
)


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
)
