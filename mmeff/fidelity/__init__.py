"""What was published of each network, and the proof that ours is the same.

One table a family; `check` and `detectors` build and compare, `page` writes the pages.
"""

from mmeff.fidelity import (
    compound_scaling,
    densenet,
    dsod,
    efficientnet,
    fpn,
    g_ghost_regnet,
    ghost_cifar,
    ghost_resnet,
    ghostnet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    peleenet,
    refinedet,
    shufflenet_v2,
    ssd,
    vovnet,
)

FAMILIES = {
    'VoVNet': vovnet.ROWS,
    'MobileNetV1': mobilenet_v1.ROWS,
    'MobileNetV2': mobilenet_v2.ROWS,
    'MobileNetV3': mobilenet_v3.ROWS,
    'EfficientNet': efficientnet.ROWS,
    'CompoundScaling': compound_scaling.ROWS,
    'GhostNet': ghostnet.ROWS,
    'GhostResNet': ghost_resnet.ROWS,
    'GhostCIFAR': ghost_cifar.ROWS,
    'GGhostRegNet': g_ghost_regnet.ROWS,
    'PeleeNet': peleenet.ROWS,
    'DenseNet': densenet.ROWS,
    'ShuffleNetV2': shufflenet_v2.ROWS,
}

# Detectors, counted as their configs build them.
DETECTORS = {
    'SSD': ssd.DETECTORS,
    'DSOD': dsod.DETECTORS,
    'RefineDet': refinedet.DETECTORS,
    'FPN': fpn.DETECTORS,
}

# Networks whose speed is compared with the reference's, by name.
TIMED = (
    'VoVNet 39, timm',
    'MobileNetV1 1.0',
    'MobileNetV2 1.0',
    'MobileNetV3-Large',
    'EfficientNet-B0',
    "EfficientNet-Lite0, form 'tf'",
    'GhostNet 1.0',
    'ResNet-50',
    "ShuffleNetV2 1.0, form 'torchvision'",
    'DenseNet-121',
    'PeleeNet',
)
