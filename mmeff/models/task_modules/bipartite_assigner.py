"""Which prior learns which object: the matching of SSD, as in its Caffe code."""

import torch
from mmdet.models.task_modules.assigners import AssignResult, BaseAssigner
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor

from mmeff.registry import TASK_UTILS

MIN_OVERLAP = 1e-6


@TASK_UTILS.register_module()
class BipartiteIoUAssigner(BaseAssigner):
    """Every object gets a prior of its own, then every close prior an object.

    https://arxiv.org/abs/1512.02325, section 2.2, *Matching strategy*.

    1. Of all pairs of an object and a prior that overlap, the pair with the largest
       IoU is matched, then the largest of the rest, and so on until no object is left.
       mmdet's MaxIoUAssigner differs: two objects may want one prior, and the one that
       loses it gets none.
    2. Each other prior takes the object it overlaps most, if their IoU is at least
       `pos_iou_thr`; it is background if that IoU is below `neg_iou_thr`, and ignored
       in between.

    Args:
        pos_iou_thr, neg_iou_thr: See above.
    """

    def __init__(self, pos_iou_thr: float = 0.5, neg_iou_thr: float = 0.5) -> None:
        self.pos_iou_thr = pos_iou_thr
        self.neg_iou_thr = neg_iou_thr

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs,
    ) -> AssignResult:
        """Match the ``(N, 4)`` `priors` of `pred_instances` with objects.

        Args:
            pred_instances: With `priors` in pixels, x1 y1 x2 y2.
            gt_instances: With `bboxes` ``(K, 4)`` and `labels` ``(K,)``.
            gt_instances_ignore: Not used, as in the original.

        Returns:
            `gt_inds` of the priors: number of the object from 1, 0 background, -1
            ignored; `labels`: -1 where there is no object.
        """
        priors = pred_instances.priors
        nothing = priors.new_full((len(priors),), -1, dtype=torch.long)
        num_gts = len(gt_instances.bboxes)
        if not num_gts:
            no_overlap = priors.new_zeros(len(priors))
            return AssignResult(0, torch.zeros_like(nothing), no_overlap, nothing)
        overlaps = bbox_overlaps(gt_instances.bboxes, priors)
        best, best_gt = overlaps.max(dim=0)
        gt_inds = torch.where(best < self.neg_iou_thr, 0, nothing)
        gt_inds = torch.where(best >= self.pos_iou_thr, best_gt + 1, gt_inds)
        matched_gts, matched_priors = match_bipartite(overlaps)
        gt_inds[matched_priors] = matched_gts + 1
        labels = gt_instances.labels[(gt_inds - 1).clamp(min=0)]
        labels = torch.where(gt_inds > 0, labels, nothing)
        return AssignResult(num_gts, gt_inds, best, labels)


def match_bipartite(overlaps: Tensor) -> tuple[Tensor, Tensor]:
    """Pair rows with columns greedily, the largest overlap first, each used once.

    A pair that is the best of its row and of its column will be taken whatever else is,
    so all such pairs are taken at once: a few rounds instead of one for each row.

    Args:
        overlaps: ``(K, N)``, not negative.

    Returns:
        Indices of rows and of columns, each ``(number of pairs,)``. Rows that overlap
        no free column stay out.
    """
    overlaps = overlaps.clone()
    every_row = torch.arange(len(overlaps), device=overlaps.device)
    rows, columns = [], []
    while True:
        best, column = overlaps.max(dim=1)
        best_row = overlaps[:, column].argmax(dim=0)
        mutual = (best > MIN_OVERLAP) & (best_row == every_row)
        if not mutual.any():
            return torch.cat(rows or [every_row[:0]]), torch.cat(
                columns or [column[:0]]
            )
        rows.append(every_row[mutual])
        columns.append(column[mutual])
        overlaps[rows[-1]] = 0
        overlaps[:, columns[-1]] = 0
