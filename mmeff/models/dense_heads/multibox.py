"""Matching and loss of SSD, https://arxiv.org/abs/1512.02325, section 2.2.

For a batch at once; RefineDet has both twice.
"""

from collections.abc import Sequence

import torch
from mmdet.models.task_modules.assigners import BaseAssigner
from mmdet.models.task_modules.coders import BaseBBoxCoder
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F


def match(
    assigner: BaseAssigner,
    priors: Tensor,
    batch_gt_instances: Sequence[InstanceData],
    num_classes: int,
    bbox_coder: BaseBBoxCoder,
) -> tuple[Tensor, Tensor]:
    """What each prior should learn.

    Args:
        assigner: Matches the priors of one image.
        priors: Of each image, ``(B, N, 4)``.
        batch_gt_instances: Objects with `bboxes` and `labels` below `num_classes`.
        num_classes: The label of background.
        bbox_coder: Makes offsets of boxes.

    Returns:
        Labels ``(B, N)``, -1 where a prior is to be ignored, and offsets ``(B, N, 4)``,
        0 where there is no object.
    """
    labels = priors.new_full(priors.shape[:-1], -1, dtype=torch.long)
    offsets = torch.zeros_like(priors)
    for i, gt in enumerate(batch_gt_instances):
        result = assigner.assign(InstanceData(priors=priors[i]), gt)
        labels[i, result.gt_inds == 0] = num_classes
        positive = result.gt_inds > 0
        labels[i, positive] = result.labels[positive]
        boxes = gt.bboxes[result.gt_inds[positive] - 1]
        offsets[i, positive] = bbox_coder.encode(priors[i, positive], boxes)
    return labels, offsets


def multibox_loss(
    cls_scores: Tensor,
    bbox_preds: Tensor,
    labels: Tensor,
    offsets: Tensor,
    neg_pos_ratio: float,
    eligible: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Softmax loss with hard negatives, and smooth L1 loss of the positives.

    Both are sums over the batch, divided by its number of positives.

    Args:
        cls_scores: ``(B, N, num_classes + 1)``, background last.
        bbox_preds: ``(B, N, 4)``.
        labels, offsets: As `match` gives them.
        neg_pos_ratio: Negatives of an image for each of its positives, at most.
        eligible: Which priors may be negatives, ``(B, N)``; all of them by default.
            Positives stay positives.
    """
    background = cls_scores.shape[-1] - 1
    positive = (labels >= 0) & (labels < background)
    negative = labels == background
    if eligible is not None:
        negative = negative & eligible
    losses = F.cross_entropy(
        cls_scores.transpose(1, 2), labels.clamp(min=0), reduction='none'
    )
    count = (neg_pos_ratio * positive.sum(dim=1)).long()
    used = positive | hardest(losses.detach(), negative, count)
    matches = positive.sum().clamp(min=1)
    loss_bbox = F.smooth_l1_loss(
        bbox_preds[positive], offsets[positive], reduction='sum'
    )
    return losses[used].sum() / matches, loss_bbox / matches


def hardest(losses: Tensor, candidates: Tensor, count: Tensor) -> Tensor:
    """The candidates with the largest losses in each row.

    Args:
        losses: ``(B, N)``.
        candidates: Bools, ``(B, N)``.
        count: How many, ``(B,)``; fewer where there are fewer.

    Returns:
        Bools, ``(B, N)``.
    """
    order = losses.masked_fill(~candidates, -torch.inf).argsort(dim=1, descending=True)
    rank = torch.empty_like(order)
    positions = torch.arange(order.shape[1], device=order.device)
    rank.scatter_(1, order, positions.expand_as(order))
    return candidates & (rank < count[:, None])
