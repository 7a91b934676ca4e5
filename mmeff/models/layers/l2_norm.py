"""Normalisation over channels, which SSD's family applies to maps that it predicts from."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class L2Norm(nn.Module):
    """Divide by the Euclidean norm over channels, multiply with a learned scale.

    https://arxiv.org/abs/1506.04579 (ParseNet), section 3.3. Computed in float32. Where
    all channels are 0 the gradient is finite but of the order of 1e12 times the scale: put
    it behind a ReLU, whose own gradient is 0 there.

    ``(B, channels, H, W)`` to the same.

    Args:
        channels: Of the map; each has its own scale.
        scale: Where all scales start.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        scaled = F.normalize(x.float(), dim=1) * self.weight.float()[:, None, None]
        return scaled.to(x.dtype)
