"""Compound scaling: depth, width and resolution grow together.

EfficientNet, https://arxiv.org/abs/1905.11946, section 3.3. The backbones take the
results as `depth_factor` and `widen_factor`; the resolution is that of the pictures.
"""

import math
from dataclasses import dataclass

from mmdet.models.utils import make_divisible


@dataclass(frozen=True)
class CompoundScaling:
    """What to multiply layers, channels and the side of the image with."""

    depth: float
    width: float
    resolution: float


def compound_scaling(
    phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15
) -> CompoundScaling:
    """Multipliers for about ``2 ** phi`` times the multiply-adds; equation 3.

    Args:
        phi: How much more work there is to be.
        alpha, beta, gamma: Of depth, width and resolution. By default EfficientNet's,
            from a grid search around B0 at phi = 1: work grows by
            ``alpha * beta**2 * gamma**2``, about 2, and by what rounding adds to small
            networks. B2 is phi = 1, B3 about 2; the published ones are had by name.

    Raises:
        ValueError: A coefficient is below 1.
    """
    if min(alpha, beta, gamma) < 1:
        raise ValueError(
            f'alpha={alpha}, beta={beta}, gamma={gamma}: expected 1 or more each; a '
            'negative phi makes a network smaller'
        )
    return CompoundScaling(alpha**phi, beta**phi, gamma**phi)


def round_filters(filters: int, widen_factor: float) -> int:
    """Channels after scaling: a multiple of 8, not more than a tenth less."""
    return make_divisible(filters * widen_factor, 8)


def round_repeats(repeats: int, depth_factor: float) -> int:
    """Blocks of a row after scaling, rounded up."""
    return math.ceil(depth_factor * repeats)
