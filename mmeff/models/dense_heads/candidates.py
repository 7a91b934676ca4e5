"""Choice of the boxes that enter the suppression."""

import torch
from torch import Tensor


def best_of_each(scores: Tensor, groups: Tensor, most: int) -> Tensor:
    """The best of each group.

    Args:
        scores: ``(N,)``, float32, not negative.
        groups: The number of each one's group, ``(N,)``, int64.
        most: How many of a group, at most.

    Returns:
        Indices, ``(M,)``: group by group, best first, equal scores in their order.
    """
    # the bits of such numbers, taken for integers, have the same order
    order = ((groups + 1 << 32) - scores.view(torch.int32)).argsort(stable=True)
    count = groups.bincount()
    start = (count.cumsum(0) - count)[groups[order]]
    rank = torch.arange(len(order), device=order.device) - start
    return order[rank < most]
