"""Choice of the boxes that enter the suppression."""

import torch
from torch import Tensor


def best_of_each(scores: Tensor, groups: Tensor, most: int) -> Tensor:
    """The best of each group.

    Args:
        scores: ``(N,)``, not negative, compared in float32.
        groups: The number of each one's group, ``(N,)``, int64.
        most: How many of a group, at most.

    Returns:
        Indices, ``(M,)``: group by group, best first, equal scores in their order.
    """
    # bits of such numbers, taken for integers, are in the numbers' order
    bits = scores.float().view(torch.int32)
    order = ((groups + 1 << 32) - bits).argsort(stable=True)
    count = groups.bincount()
    start = (count.cumsum(0) - count)[groups[order]]
    rank = torch.arange(len(order), device=order.device) - start
    return order[rank < most]
