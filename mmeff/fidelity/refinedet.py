"""RefineDet, https://arxiv.org/abs/1711.06897, and Table 4 of the VoVNet paper,
https://arxiv.org/abs/1904.09730, all on COCO with 80 classes and background.
"""

from mmeff.fidelity.detectors import DetectorRow

TABLE_4 = 'VoVNet paper, Table 4: COCO AP {}. It seems to count BatchNorm too, which we do not'
REFINEDET = 'RefineDet paper: {}'
VOVNET39_PARTS = {
    'backbone': (21_575_296, '15.847G'),
    'neck.extra': (870_912, '0.022G'),
    'neck.blocks': (12_000_768, '5.505G'),
    'bbox_head.arm_inter': (7_032_832, '3.400G'),
    'bbox_head.arm_reg': (442_416, '0.235G'),
    'bbox_head.arm_cls': (221_208, '0.118G'),
    'bbox_head.odm_inter': (4_739_072, '2.507G'),
    'bbox_head.odm_reg': (442_416, '0.235G'),
    'bbox_head.odm_cls': (8_958_924, '4.759G'),
}


def _row(
    name: str,
    params: int,
    macs: str,
    published: tuple[str | None, str | None],
    note: str,
    size: int = 320,
    parts: dict[str, tuple[int, str]] | None = None,
    data: str = 'coco',
) -> DetectorRow:
    backbone = name.lower().replace('-', '')
    return DetectorRow(
        f'RefineDet{size} {name}' + (', VOC' if data == 'voc' else ''),
        f'refinedet{size}_{backbone}_{data}.py',
        params,
        macs,
        size,
        published=published,
        parts=parts or {},
        note=note,
    )


DETECTORS = (
    _row(
        'VoVNet-39',
        56_283_844,
        '32.626G',
        ('56.28M', '32.6G'),
        TABLE_4.format('33.5'),
        parts=VOVNET39_PARTS,
    ),
    _row(
        'VoVNet-57',
        70_323_844,
        '36.418G',
        ('70.32M', '36.45G'),
        TABLE_4.format('33.9'),
    ),
    _row(
        'ResNet-50',
        63_459_524,
        '25.399G',
        ('63.46M', '25.43G'),
        TABLE_4.format('30.3')
        + ". The first convolution of ResNet-50's Caffe model has a bias: 64 parameters",
    ),
    _row(
        'ResNet-101',
        82_451_588,
        '32.975G',
        ('82.45M', '33.02G'),
        TABLE_4.format('32.0'),
    ),
    _row(
        'DenseNet-201',
        56_127_428,
        '24.585G',
        ('56.13M', '24.65G'),
        TABLE_4.format('32.5'),
    ),
    _row(
        'DenseNet-161',
        66_755_204,
        '32.668G',
        ('66.76M', '32.74G'),
        TABLE_4.format('33.5'),
    ),
    _row(
        'VGG16', 36_100_484, '38.654G', (None, None), REFINEDET.format('COCO AP 29.4')
    ),
    _row(
        'VoVNet-39',
        56_283_844,
        '83.52G',
        (None, None),
        'weights and configuration by the VoVNet authors, no published counts',
        size=512,
    ),
    _row(
        'VoVNet-39',
        49_647_604,
        '29.10G',
        (None, None),
        'weights and configuration by the VoVNet authors, no published counts',
        data='voc',
    ),
    DetectorRow(
        'RefineDet320 VoVNet-27-slim',
        'refinedet320_vovnet27-slim_coco.py',
        8_298_692,
        '7.980G',
        size=320,
        note='with maps of 128 channels, for small machines; not in a paper',
    ),
)
