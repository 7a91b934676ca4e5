"""Matching and loss of SSD, https://arxiv.org/abs/1512.02325, section 2.2.

For a batch at once; RefineDet has both twice.
"""

import math
from collections.abc import Sequence

import torch
from mmdet.models.task_modules.assigners import BaseAssigner
from mmdet.models.task_modules.coders import BaseBBoxCoder
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor, nn
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


def softmax_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of every prior, ``(B, N)``, of ``(B, N, num_classes + 1)``."""
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction='none')
    return losses.view_as(labels)


def multibox_loss(
    class_losses: Tensor,
    bbox_preds: Tensor,
    labels: Tensor,
    offsets: Tensor,
    num_classes: int,
    neg_pos_ratio: float,
    min_negatives: int = 0,
    smoothl1_beta: float = 1.0,
    eligible: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Equations 1 to 3: class loss with hard negatives, smooth L1 loss of positives.

    Both are sums over the batch, divided by its number of positives. In a distributed
    training the batch is that of all processes, and the mean of their losses, which their
    mean gradient is of, is the loss of that batch.

    Args:
        class_losses: Of every prior with its label, ``(B, N)``.
        bbox_preds: ``(B, N, 4)``.
        labels, offsets, num_classes: As for `match`.
        neg_pos_ratio: Negatives of an image for each of its positives, at most.
        min_negatives: Of an image with fewer positives, none included.
        smoothl1_beta: Where the squared part ends.
        eligible: Which priors may be negatives, ``(B, N)``; all of them by default.
            Positives stay positives.

    Returns:
        The class loss and the box loss.
    """
    positive = (labels >= 0) & (labels < num_classes)
    negative = labels == num_classes
    if eligible is not None:
        negative = negative & eligible
    count = (neg_pos_ratio * positive.sum(dim=1)).long().clamp(min=min_negatives)
    used = positive | hardest(class_losses.detach(), negative, count)
    matches = reduce_mean(positive.sum().float()).clamp(min=1 / get_world_size())
    loss_bbox = F.smooth_l1_loss(
        bbox_preds[positive], offsets[positive], reduction='sum', beta=smoothl1_beta
    )
    return class_losses[used].sum() / matches, loss_bbox / matches


def flatten_levels(maps: Sequence[Tensor], channels: int) -> Tensor:
    """Predictions of all priors in one tensor.

    In float32, since half precision would shift boxes by pixels.

    Args:
        maps: Of each level ``(B, priors in a cell * channels, H, W)``.
        channels: Numbers of one prior.

    Returns:
        ``(B, N, channels)``, ordered by level, row, column and prior of the cell.
    """
    rows = [
        level.permute(0, 2, 3, 1).reshape(len(level), -1, channels) for level in maps
    ]
    return torch.cat(rows, dim=1).float()


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


@torch.no_grad()
def start_from_background(
    layers: Sequence[nn.Module],
    num_classes: int,
    prior_prob: float | None,
    use_sigmoid: bool = False,
) -> None:
    """Set biases so that every prior starts as background.

    Focal loss, https://arxiv.org/abs/1708.02002, section 3.3, for a softmax as well.

    Args:
        layers: The last ones, convolutions or norms, with ``num_classes + 1`` outputs for
            each prior, background last.
        num_classes: Without background.
        prior_prob: The chance of an object at the start; None leaves the biases alone.
        use_sigmoid: Each column is a yes-or-no question.

    Raises:
        ValueError: `prior_prob` is not between 0 and 1.
    """
    if prior_prob is None:
        return
    if not 0 < prior_prob < 1:
        raise ValueError(
            f'prior_prob={prior_prob!r}: expected more than 0, less than 1'
        )
    odds = math.log((1 - prior_prob) / prior_prob)
    for layer in layers:
        bias = layer.bias.view(-1, num_classes + 1)
        bias[:, :-1] = -odds if use_sigmoid else 0
        bias[:, -1] = odds if use_sigmoid else odds + math.log(num_classes)
