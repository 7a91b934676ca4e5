"""Squeeze-and-excitation, https://arxiv.org/abs/1709.01507."""

from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in [0, 1] computed from all channels' means.

    Shape in and out ``(B, channels, H, W)``.

    Args:
        channels: Of the map.
        reduced: Of the hidden layer; the papers round it in different ways.
        act: Activation of the hidden layer.
        gate: Activation that makes the gate.
    """

    def __init__(
        self, channels: int, reduced: int, act: nn.Module, gate: nn.Module
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.act = act
        self.expand = nn.Conv2d(reduced, channels, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * self.gate(self.expand(y))
