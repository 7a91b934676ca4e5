"""Backbones, one family a file."""

from mmeff.models.backbones.caffe_resnet import CaffeResNet
from mmeff.models.backbones.densenet import DenseNet
from mmeff.models.backbones.efficientnet import EfficientNet
from mmeff.models.backbones.g_ghost_regnet import GGhostRegNet
from mmeff.models.backbones.ghost_cifar import GhostResNet56, GhostVGG16
from mmeff.models.backbones.ghost_resnet import GhostResNet
from mmeff.models.backbones.ghostnet import GhostNet
from mmeff.models.backbones.mobilenet_v1 import MobileNetV1
from mmeff.models.backbones.mobilenet_v2 import MobileNetV2
from mmeff.models.backbones.mobilenet_v3 import MobileNetV3
from mmeff.models.backbones.peleenet import PeleeNet
from mmeff.models.backbones.reduced_vgg import ReducedVGG
from mmeff.models.backbones.shufflenet_v2 import ShuffleNetV2
from mmeff.models.backbones.vovnet import VoVNet
from mmeff.models.layers import GhostModule

__all__ = [
    'CaffeResNet',
    'DenseNet',
    'EfficientNet',
    'GGhostRegNet',
    'GhostModule',
    'GhostNet',
    'GhostResNet',
    'GhostResNet56',
    'GhostVGG16',
    'MobileNetV1',
    'MobileNetV2',
    'MobileNetV3',
    'PeleeNet',
    'ReducedVGG',
    'ShuffleNetV2',
    'VoVNet',
]
