"""Pareto fronts and rank correlation."""

from collections.abc import Sequence

import numpy as np


def pareto_front(
    points: Sequence[tuple[float, float]], best: tuple[str, str]
) -> list[int]:
    """Points that no other point beats.

    A point beats another if it is at least as good in both numbers and better in one, so
    equal points are on the front together or not at all.

    Args:
        points: (x, y) of each.
        best: 'high' or 'low' for x and for y.

    Returns:
        Indices along the front, from the smallest x on.
    """
    sign = np.array([1 if side == 'high' else -1 for side in best])
    values = np.array(points, dtype=float).reshape(-1, 2) * sign
    front = [
        index
        for index, value in enumerate(values)
        if not ((values >= value).all(1) & (values > value).any(1)).any()
    ]
    return sorted(front, key=lambda index: points[index])


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's coefficient; None for fewer than three points or equal numbers.

    1 says that x puts models in the same order as y, 0 that it tells nothing of it.
    """
    ranks = [_ranks(np.asarray(values, dtype=float)) for values in (x, y)]
    if len(x) < 3 or any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each number; equal ones share the mean of theirs."""
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return below + (equal - 1) / 2
