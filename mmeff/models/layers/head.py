"""The ImageNet head that most families share."""

from collections import OrderedDict

from torch import nn


def linear_head(
    channels: int, num_classes: int, dropout: float = 0.0, bias: bool = True
) -> nn.Sequential | None:
    """Global average pooling and a linear layer; None for no classes.

    ``(B, channels, H, W) -> (B, num_classes)``
    """
    if not num_classes:
        return None
    layers = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    if dropout:
        layers['dropout'] = nn.Dropout(dropout)
    layers['fc'] = nn.Linear(channels, num_classes, bias=bias)
    return nn.Sequential(layers)
