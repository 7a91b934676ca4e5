"""Detectors with a feature pyramid: RetinaNet, Faster R-CNN, Mask R-CNN.

None of the papers prints multiply-adds of these detectors, and only the README of
VoVNetV2 prints parameters. The tests confirm the counts: those of the backbone, of which
`mmeff.fidelity` has a report, and closed formulas of neck and heads.
"""

from mmeff.fidelity.detectors import DetectorRow

SIZE = 800
V2_README = "README of the authors' detectron2 code, COCO 3x: "
V2_FASTER = (
    f'{V2_README}box AP 38.9 with VoVNetV2-19, 42.7 with 39, 43.3 with 57, 44.1 with 99, '
    '40.2 with ResNet-50. Its parameters are 9.5M more than ours for every one of them: '
    'not reproduced; what it counts is not said'
)
V1_README = "README of the authors' Mask R-CNN code, COCO 2x: box AP "
TABLE_5 = (
    'VoVNet paper, Table 5, COCO from scratch 3x: box AP 41.7 and mask AP 36.8 with '
    'VoVNet-39, 41.9 and 37.0 with 57. It prints times, no counts'
)
GHOSTNET = (
    'GhostNet paper, COCO 1x: box AP of RetinaNet and Faster R-CNN 26.6 and 26.9 with '
    'GhostNet 1.1, 26.7 and 27.5 with MobileNetV2, 26.4 and 26.9 with MobileNetV3. Its 164M, '
    '300M and 219M multiply-adds are those of the classifiers at 224 pixels'
)
UNPUBLISHED = 'no published detector of this kind was found'
SHUFFLENET = "the paper's detector is Light-Head R-CNN (box AP 29.0), of which it gives no details"


def _row(name: str, config: str, params: int, macs: str, note: str) -> DetectorRow:
    return DetectorRow(name, f'{config}.py', params, macs, SIZE, note=note)


def _v2_faster(
    name: str, params: int, macs: str, printed: str, options: dict
) -> DetectorRow:
    return DetectorRow(
        f'Faster R-CNN, {name}',
        'vovnet-v2-39_fasterrcnn.py',
        params,
        macs,
        SIZE,
        published=(printed, None),
        note=V2_FASTER,
        options={f'model.{key}': value for key, value in options.items()},
    )


RESNET_50 = {
    'backbone': dict(_delete_=True, type='ResNet', depth=50, out_indices=(0, 1, 2, 3)),
    'neck.in_channels': [256, 512, 1024, 2048],
}

DETECTORS = (
    _row(
        'Mask R-CNN GN, VoVNet-39', 'vovnet39_maskrcnn', 43_450_736, '339.602G', TABLE_5
    ),
    _row(
        'Mask R-CNN GN, VoVNet-57', 'vovnet57_maskrcnn', 57_490_736, '363.300G', TABLE_5
    ),
    _row(
        'Faster R-CNN, VoVNet-39',
        'vovnet39_fasterrcnn',
        39_492_640,
        '172.059G',
        f'{V1_README}39.8',
    ),
    _row(
        'Faster R-CNN, VoVNet-57',
        'vovnet57_fasterrcnn',
        53_532_640,
        '195.757G',
        f'{V1_README}40.8',
    ),
    _v2_faster(
        'VoVNetV2-19', 28_097_760, '134.404G', '37.6M', {'backbone.arch': 'v2-19'}
    ),
    _v2_faster('VoVNetV2-39', 43_101_472, '172.062G', '52.6M', {}),
    _v2_faster(
        'VoVNetV2-57', 59_372_256, '195.763G', '68.9M', {'backbone.arch': 'v2-57'}
    ),
    _v2_faster(
        'VoVNetV2-99', 87_440_864, '292.145G', '96.9M', {'backbone.arch': 'v2-99'}
    ),
    _v2_faster('ResNet-50 of mmdet', 41_753_056, '134.324G', '51.2M', RESNET_50),
    _row(
        'Faster R-CNN FPNLite, VoVNetV2-19',
        'vovnet-v2-19_fasterrcnn-fpnlite',
        19_132_640,
        '78.509G',
        f'{V2_README}box AP 38.9',
    ),
    _row(
        'Faster R-CNN FPNLite, VoVNetV2-19-slim-dw',
        'vovnet-v2-19-slim-dw_fasterrcnn-fpnlite',
        10_171_088,
        '29.806G',
        f'{V2_README}box AP 32.4',
    ),
    _row(
        'Mask R-CNN, VoVNetV2-39',
        'vovnet-v2-39_maskrcnn',
        45_744_752,
        '225.048G',
        f'{V2_README}box AP 43.8, mask AP 39.3',
    ),
    _row(
        'Mask R-CNN, VoVNetV2-99',
        'vovnet-v2-99_maskrcnn',
        90_084_144,
        '345.131G',
        f'{V2_README}box AP 44.9, mask AP 40.3',
    ),
    _row(
        'RetinaNet, VoVNet-39',
        'vovnet39_retinanet',
        31_579_508,
        '186.231G',
        UNPUBLISHED,
    ),
    _row(
        'RetinaNet, GhostNet 1.1', 'ghostnet_retinanet', 12_536_174, '96.250G', GHOSTNET
    ),
    _row(
        'Faster R-CNN, GhostNet 1.1',
        'ghostnet_fasterrcnn',
        20_390_938,
        '79.743G',
        GHOSTNET,
    ),
    _row(
        'RetinaNet, MobileNetV2 1.0',
        'mobilenetv2_retinanet',
        11_340_788,
        '97.830G',
        GHOSTNET,
    ),
    _row(
        'Faster R-CNN, MobileNetV2 1.0',
        'mobilenetv2_fasterrcnn',
        19_194_528,
        '81.282G',
        GHOSTNET,
    ),
    _row(
        'RetinaNet, MobileNetV3-Large',
        'mobilenetv3_retinanet',
        12_310_692,
        '96.888G',
        GHOSTNET,
    ),
    _row(
        'Faster R-CNN, MobileNetV3-Large',
        'mobilenetv3_fasterrcnn',
        20_164_432,
        '80.340G',
        GHOSTNET,
    ),
    _row(
        'Faster R-CNN, G-Ghost RegNetX-3.2GF',
        'g-ghost-regnet_fasterrcnn',
        27_206_352,
        '102.149G',
        UNPUBLISHED,
    ),
    _row(
        'Faster R-CNN, EfficientNet-B0',
        'efficientnet_fasterrcnn',
        20_984_348,
        '82.390G',
        UNPUBLISHED,
    ),
    _row(
        'Faster R-CNN, ShuffleNetV2 1.0',
        'shufflenetv2_fasterrcnn',
        18_253_576,
        '79.593G',
        SHUFFLENET,
    ),
    _row(
        'RetinaNet, MobileNetV1 1.0',
        'mobilenetv1_retinanet',
        13_080_116,
        '102.460G',
        UNPUBLISHED,
    ),
    _row(
        'RetinaNet, ShuffleNetV2 1.0x',
        'shufflenetv2_retinanet',
        10_399_836,
        '96.141G',
        UNPUBLISHED,
    ),
    _row(
        'RetinaNet, EfficientNet-Lite0',
        'efficientnet_retinanet',
        12_494_068,
        '98.937G',
        UNPUBLISHED,
    ),
    _row(
        'RetinaNet, Ghost-ResNet-50',
        'ghost-resnet50_retinanet',
        22_236_404,
        '123.776G',
        UNPUBLISHED,
    ),
    _row(
        'RetinaNet, G-Ghost-RegNet',
        'g-ghost-regnet_retinanet',
        19_334_180,
        '117.960G',
        UNPUBLISHED,
    ),
    _row(
        'RetinaNet, DenseNet-121',
        'densenet_retinanet',
        16_826_996,
        '131.355G',
        UNPUBLISHED,
    ),
    _row(
        'RetinaNet, PeleeNet', 'peleenet_retinanet', 11_888_468, '101.635G', UNPUBLISHED
    ),
)
