"""Whether two runs of a detector over the same images find the same.

Boxes are paired one to one. Where a threshold is met almost exactly, rounding decides
which boxes there are: those are counted apart, as borderline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

MAX_BOX_PX = 1e-3
MAX_SCORE = 1e-4
MAX_MASK = 1e-3
MARGIN = MAX_SCORE  # of scores and IoUs: nearer to a threshold, rounding decides
# Half precisions are judged by mAP. This share of all boxes finds gross mistakes only.
HALF_UNMATCHED = 0.5
# Boxes that differ by more are two boxes.
REACH_PX = {'fp32': 1.0}
HALF_REACH_PX = 8.0
REACH_SCORE = 0.1


@dataclass(frozen=True)
class Cuts:
    """The thresholds that make boxes of candidates.

    Attributes:
        score_thr: Boxes up to this score are left out.
        iou_threshold: Of NMS; none if None.
        max_per_img: So many boxes are kept at most; all if None.
    """

    score_thr: float = 0.0
    iou_threshold: float | None = None
    max_per_img: int | None = None


def cuts_of(cfg: Config) -> Cuts:
    """The thresholds of a detector, of the second stage if it has one."""
    test_cfg = cfg.model.get('test_cfg') or {}
    test_cfg = test_cfg.get('rcnn') or test_cfg
    limit = test_cfg.get('max_per_img', -1)
    return Cuts(
        test_cfg.get('score_thr', 0.0),
        test_cfg.get('nms', {}).get('iou_threshold'),
        limit if limit > 0 else None,
    )


@dataclass(frozen=True)
class Agreement:
    """How far two runs agree.

    Attributes:
        images: Compared.
        boxes: Pairs, one box of each run.
        unmatched: Boxes of either run without a partner, but for the borderline ones.
        borderline: Boxes without a partner because rounding decided.
        max_box_px: Largest difference of a coordinate in pixels, over all pairs.
        max_score: Largest difference of a score.
        mask_share: Pixels that differ, over those in either mask; None without masks.
    """

    images: int
    boxes: int
    unmatched: int
    borderline: int
    max_box_px: float
    max_score: float
    mask_share: float | None = None

    def agrees(self, precision: str = 'fp32') -> bool:
        """Whether both runs found the same, as far as the precision allows.

        In half precisions the measure is mAP; here only gross mistakes are found.

        Args:
            precision: Of the run that is checked: 'fp32', 'bf16' or 'fp16'.
        """
        if precision != 'fp32':
            return self.unmatched <= HALF_UNMATCHED * (2 * self.boxes + self.unmatched)
        return (
            self.unmatched == 0
            and self.max_box_px <= MAX_BOX_PX
            and self.max_score <= MAX_SCORE
            and (self.mask_share or 0) <= MAX_MASK
        )


def compare(
    samples: Sequence[DetDataSample],
    reference: Sequence[DetDataSample],
    cuts: Cuts | None = None,
    precision: str = 'fp32',
) -> Agreement:
    """Compare the detections of two runs over the same images.

    Args:
        samples: Of the run that is checked, with `pred_instances`.
        reference: Of the other run, in the same order.
        cuts: Thresholds of the detector, see `cuts_of`.
        precision: Of the run that is checked; the boxes of half precisions may be
            farther from each other.

    Raises:
        ValueError: The numbers of images differ.
    """
    comparison = Comparison(cuts or Cuts(), precision)
    for sample, other in zip(samples, reference, strict=True):
        comparison.add(sample, other)
    return comparison.result()


class Comparison:
    """Compares image by image, and keeps the sums only; arguments as for `compare`."""

    def __init__(self, cuts: Cuts, precision: str = 'fp32') -> None:
        self.cuts = cuts
        self.reach_px = REACH_PX.get(precision, HALF_REACH_PX)
        self.images = self.boxes = self.unmatched = self.borderline = 0
        self.max_box_px = self.max_score = 0.0
        self.mask_pixels = np.zeros(2, np.int64)  # those that differ, and all

    def add(self, sample: DetDataSample, reference: DetDataSample) -> None:
        """Compare one image."""
        runs = [each.pred_instances.cpu() for each in (sample, reference)]
        first, second = _pairs(*runs, self.reach_px)
        self.images += 1
        self.boxes += len(first)
        pairs = runs[0][first], runs[1][second]
        self.max_box_px = max(self.max_box_px, _largest(*(p.bboxes for p in pairs)))
        self.max_score = max(self.max_score, _largest(*(p.scores for p in pairs)))
        if 'masks' in sample.pred_instances:
            self._add_masks(*(torch.as_tensor(p.masks).bool() for p in pairs))
        alone = [_others(len(runs[0]), first), _others(len(runs[1]), second)]
        number = sum(map(len, alone))
        borderline = _count_borderline(runs, alone, self.cuts) if number else 0
        self.borderline += borderline
        self.unmatched += number - borderline

    def _add_masks(self, masks: Tensor, others: Tensor) -> None:
        self.mask_pixels += [int((masks ^ others).sum()), int((masks | others).sum())]

    def result(self) -> Agreement:
        """Of all images so far."""
        differing, pixels = map(int, self.mask_pixels)
        return Agreement(
            self.images,
            self.boxes,
            self.unmatched,
            self.borderline,
            self.max_box_px,
            self.max_score,
            differing / pixels if pixels else None,
        )


def _pairs(
    run: InstanceData, other: InstanceData, reach_px: float
) -> tuple[Tensor, Tensor]:
    """Indices of boxes with the same label that are nearest to each other, ``(k,)``."""
    distance = (run.bboxes[:, None] - other.bboxes).abs().amax(-1)  # (n, m)
    difference = (run.scores[:, None] - other.scores).abs()
    possible = (distance <= reach_px) & (difference <= REACH_SCORE)
    possible &= run.labels[:, None] == other.labels
    # as many pairs as there can be come before near ones; scores tell equal boxes apart
    cost = distance + difference
    impossible = (1 + cost[possible].sum()) * min(cost.shape)
    cost = torch.where(possible, cost, impossible)
    first, second = map(torch.as_tensor, linear_sum_assignment(cost.numpy()))
    found = possible[first, second]
    return first[found], second[found]


def _largest(tensor: Tensor, other: Tensor) -> float:
    return float((tensor - other).abs().max()) if tensor.numel() else 0.0


def _others(number: int, indices: Tensor) -> Tensor:
    """The indices below a number that are not among these."""
    left = torch.ones(number, dtype=torch.bool)
    left[indices] = False
    return left.nonzero().flatten()


def _count_borderline(
    runs: Sequence[InstanceData], alone: Sequence[Tensor], cuts: Cuts
) -> int:
    """Of the boxes without a partner, those that rounding gave or took."""
    boxes = [run[indices] for run, indices in zip(runs, alone, strict=True)]
    decided = torch.cat(
        [
            _cut(one, other, cuts) | _suppressed(one, other, cuts)
            for one, other in zip(boxes, reversed(runs), strict=True)
        ]
    )
    if cuts.iou_threshold is None:
        return int(decided.sum())
    # whether a box is there decides about those it overlaps with
    boxes = InstanceData.cat(boxes)
    touching = _overlaps(boxes, boxes) >= cuts.iou_threshold - MARGIN
    while not decided.equal(grown := decided | touching[:, decided].any(1)):
        decided = grown
    return int(decided.sum())


def _cut(boxes: InstanceData, run: InstanceData, cuts: Cuts) -> Tensor:
    """Whether the other run may have left out boxes for their score, (n,)."""
    lowest = cuts.score_thr
    if cuts.max_per_img is not None and len(run) >= cuts.max_per_img:
        lowest = max(lowest, float(run.scores.min()))
    return boxes.scores <= lowest + MARGIN


def _suppressed(boxes: InstanceData, run: InstanceData, cuts: Cuts) -> Tensor:
    """Whether a box of the other run may just have suppressed these, (n,).

    It overlaps by hardly more than the threshold, or its score is hardly higher.
    """
    if cuts.iou_threshold is None or not len(run):
        return torch.zeros(len(boxes), dtype=torch.bool)
    overlap = _overlaps(boxes, run) - cuts.iou_threshold
    near = (boxes.scores[:, None] - run.scores).abs() <= MARGIN
    return ((overlap >= -MARGIN) & (near | (overlap <= MARGIN))).any(1)


def _overlaps(boxes: InstanceData, others: InstanceData) -> Tensor:
    """IoU of boxes with the same label, 0 of others, (n, m)."""
    same = boxes.labels[:, None] == others.labels
    return box_iou(boxes.bboxes, others.bboxes) * same
