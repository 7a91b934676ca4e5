"""DSOD300, https://arxiv.org/abs/1708.01241, and the rows of the VoVNet paper's Tables 2
and 3, https://arxiv.org/abs/1904.09730, whose layout of VoVNet-27-slim was not printed.
"""

from mmeff.fidelity.detectors import DetectorRow

FIT = (
    'the paper prints no layout: this one was searched to fit, and meets the printed '
    'numbers if they are truncated'
)


STATISTICS = 'the published parameters include the statistics of BN'


def _row(
    name: str,
    config: str,
    params: int,
    macs: str,
    published: tuple[str | None, str | None],
    note: str = '',
) -> DetectorRow:
    return DetectorRow(
        f'DSOD300 {name}',
        f'dsod300_{config}_voc.py',
        params,
        macs,
        size=300,
        num_classes=20,
        published=published,
        note=note,
    )


DETECTORS = (
    _row(
        'DS/64-192-48-1',
        'densenet',
        14_715_804,
        '15.080G',
        ('14.8M', None),
        STATISTICS,
    ),
    _row(
        'DenseNet-67',
        'densenet67',
        5_833_372,
        '5.298G',
        ('5.9M', '5.3G'),
        STATISTICS,
    ),
    _row('VoVNet-27-slim', 'vovnet27-slim', 5_971_932, '5.663G', ('5.9M', '5.6G'), FIT),
    _row(
        'VoVNet-27-slim with bottleneck',
        'vovnet27-slim-bottleneck',
        4_871_612,
        '4.644G',
        ('4.8M', '4.6G'),
        FIT,
    ),
    DetectorRow(
        'DSOD300 VoVNet-27-slim, COCO',
        'dsod300_vovnet27-slim_coco.py',
        11_366_892,
        '6.986G',
        size=300,
        note="with DSOD's priors for COCO and 80 classes; no published number",
    ),
)
