"""Small SSDs: SSDLite (https://arxiv.org/abs/1801.04381, Table 6), Pelee
(https://arxiv.org/abs/1804.06882), the SSD300 that it and the VoVNet paper compare with, and
a head of RTMDet on VoVNet-27-slim.
"""

from mmeff.fidelity.detectors import DetectorRow

DETECTORS = (
    DetectorRow(
        'SSDLite320 MobileNetV2',
        'ssdlite320_mobilenetv2_coco.py',
        4_337_013,
        '0.7888G',
        size=320,
        published=('4.3M', '0.8B'),
        note='published COCO AP 22.1; with the 91 outputs of the published file 4.501M '
        'and 0.804G',
    ),
    DetectorRow(
        "SSDLite320 MobileNetV2, mmdet's layout",
        'ssdlite320_mobilenetv2-mmdet_coco.py',
        4_228_788,
        '0.7462G',
        size=320,
        note="mmdet's COCO AP 21.3; its weights fit",
    ),
    DetectorRow(
        'SSDLite320 MobileNetV1',
        'ssdlite320_mobilenetv1_coco.py',
        5_100_661,
        '1.309G',
        size=320,
        published=('5.1M', '1.3B'),
        note='published COCO AP 22.2',
    ),
    DetectorRow(
        'SSDLite320 ShuffleNetV2 1.0x',
        'ssdlite320_shufflenetv2_coco.py',
        3_070_885,
        '0.4155G',
        size=320,
        note='not of the paper, which has no SSDLite',
    ),
    DetectorRow(
        'SSDLite320 GhostNet 1.0x',
        'ssdlite320_ghostnet_coco.py',
        4_403_881,
        '0.3832G',
        size=320,
        note='not of the paper, which has no SSDLite',
    ),
    DetectorRow(
        'SSD300 MobileNetV1',
        'ssd300_mobilenetv1_voc.py',
        5_796_089,
        '1.148G',
        size=300,
        published=('5.7M', '1.1G'),
        note='published VOC mAP 68.0; the published numbers are of norms merged into '
        'convolutions (5,783,417) and truncated',
    ),
    DetectorRow(
        'Pelee304 PeleeNet',
        'pelee304_voc.py',
        5_425_892,
        '1.205G',
        size=304,
        published=('5.4M', '1.21G'),
        note='published VOC mAP 70.9; 5,417,188 with norms merged into convolutions',
    ),
    DetectorRow(
        "VoVNet-27-slim, RTMDet-tiny's neck and head",
        'vovnet27-slim_rtmdet.py',
        9_806_687,
        '7.440G',
        size=320,
        note='not in a paper',
    ),
)
