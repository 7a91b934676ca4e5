"""A light variant of every backbone, and nets whose norms are not the identity."""

import torch
from torch import nn

from mmeff.models import backbones
from mmeff.models.backbones.base import Backbone

CASES = {
    'DenseNet': dict(arch='121'),
    'EfficientNet': dict(arch='b0', drop_path_rate=0.0),
    'GGhostRegNet': dict(arch='002'),
    'GhostNet': dict(widen_factor=0.5),
    'GhostResNet': dict(arch='50', ratio=4, widen_factor=0.25),
    'MobileNetV1': dict(widen_factor=0.25),
    'MobileNetV2': dict(widen_factor=0.35),
    'MobileNetV3': dict(arch='small'),
    'PeleeNet': dict(),
    'ShuffleNetV2': dict(arch='0.5'),
    'VoVNet': dict(arch='v2-19-slim-dw'),
}
FAMILIES = [
    name for name in backbones.__all__ if issubclass(getattr(backbones, name), Backbone)
]


def make(family: str, **kwargs) -> Backbone:
    return getattr(backbones, family)(**{**CASES[family], **kwargs})


def varied(family: str, **kwargs) -> Backbone:
    """A backbone in eval mode with statistics and norms of its own."""
    torch.manual_seed(0)
    model = make(family, **kwargs).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        model(torch.rand(2, 3, 64, 96))
    return model.eval()


def total(outputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """A loss that all outputs enter."""
    return sum(output.square().mean() for output in outputs)
