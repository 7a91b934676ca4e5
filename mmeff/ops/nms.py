"""Non-maximum suppression: plain, soft (Bodla et al., 2017), and grouping.

Shapes: boxes (N, 4) as x1, y1, x2, y2; scores (N,); dets (N, 5) = boxes and scores.
All three compare with the IoU threshold rounded to float32, as the compiled code does.
"""

import numpy as np
import torch
import torchvision
from torch import Tensor

from mmeff.ops.precision import widen

# Up to this many boxes all IoUs are computed at once (4 MB), else row by row.
MATRIX_BOXES = 1024
# IoUs per block of that computation, so that its temporaries stay in the CPU's cache.
BLOCK_ELEMENTS = 2**14
TINY = float(np.finfo(np.float32).tiny)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes to keep, by descending score.

    Args:
        boxes: (N, 4).
        scores: (N,).
        iou_threshold: A box is dropped when its IoU with a kept one is above this.
        offset: Added to widths and heights, 0 or 1.
    """
    # mmcv sorts without asking for stability and torchvision does ask: handing over
    # sorted boxes makes equal scores come out in mmcv's order.
    order = scores.sort(0, descending=True)[1]
    boxes, scores = widen(boxes[order], scores[order])
    if offset:
        boxes = torch.cat((boxes[:, :2], boxes[:, 2:] + offset), dim=1)
    keep = torchvision.ops.nms(boxes, scores, float(np.float32(iou_threshold)))
    return order[keep]


class _BoxRows:
    """IoUs of chosen boxes with all boxes, as numpy arrays (R, N)."""

    def __init__(self, boxes: Tensor, offset: int):
        # numpy: a step costs a microsecond an operation, torch several times that
        corners = np.ascontiguousarray(boxes.detach().numpy().T)
        self.low, self.high, self.offset = corners[:2], corners[2:], offset
        self.areas = np.prod(self.high - self.low + offset, axis=0)

    def iou(self, rows: slice) -> np.ndarray:
        extent = np.minimum(self.high[:, rows, None], self.high[:, None])
        extent -= np.maximum(self.low[:, rows, None], self.low[:, None])
        if self.offset:
            extent += self.offset
        np.maximum(extent, 0, out=extent)
        inter = extent[0] * extent[1]
        union = self.areas[rows, None] + self.areas
        union -= inter
        # boxes without area overlap with nothing, instead of 0 / 0
        np.maximum(union, TINY, out=union)
        return np.divide(inter, union, out=inter)

    def lookup(self, transform):
        """A function `box -> transform(its IoUs)`, (N,), precomputed if that is cheap."""
        num_boxes = len(self.areas)
        if not 0 < num_boxes <= MATRIX_BOXES:
            return lambda box: transform(self.iou(slice(box, box + 1)))[0]
        step = BLOCK_ELEMENTS // num_boxes
        blocks = [
            transform(self.iou(slice(start, start + step)))
            for start in range(0, num_boxes, step)
        ]
        return np.concatenate(blocks).__getitem__


def _score_factors(method: int, iou_threshold: float, sigma: float):
    """The function that turns IoUs into the factors by which scores sink."""
    threshold = np.float32(iou_threshold)

    def naive(iou):
        return (iou < threshold).astype(iou.dtype)

    def linear(iou):
        return np.where(iou >= threshold, 1 - iou, iou.dtype.type(1))

    def gaussian(iou):
        return np.exp(-(iou * iou) / iou.dtype.type(sigma))

    return (naive, linear, gaussian)[method]


def _select(left: np.ndarray, factors, min_score: float) -> dict[int, float]:
    """Take the best box, lower the scores of the others, and so on.

    Args:
        left: (N,) scores, changed in place.
        factors: Gives the factors (N,), all in 0..1, that a box puts on the scores.
        min_score: Boxes that sink below it are dropped; the best box never is.

    Returns:
        Final score of each kept box, in the order of selection.
    """
    kept = {}
    for _ in range(len(left)):
        best = int(left.argmax())
        score = left.item(best)
        if kept and (score < min_score or score <= 0):
            break
        kept[best] = score
        np.multiply(left, factors(best), out=left)
        left[best] = -1  # taken, and no factor lifts it above 0 again
    if min_score <= 0:  # boxes whose score has sunk to 0 stay, in input order
        kept |= {box: s for box, s in enumerate(left.tolist()) if box not in kept}
    return kept


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS on the CPU: overlapping boxes lose score instead of being dropped.

    Args:
        boxes: (N, 4).
        scores: (N,).
        dets: Output (N, 5); the first K rows are filled in the order of selection.
        iou_threshold: Below it scores stay (naive and linear).
        sigma: Width of the gaussian.
        min_score: Boxes that sink below it are dropped; the best box never is.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: Added to widths and heights, 0 or 1.

    Returns:
        Indices (K,) of the kept boxes. Of equal scores the first in the input wins.
    """
    boxes, scores = widen(boxes, scores)
    transform = _score_factors(method, iou_threshold, sigma)
    factors = _BoxRows(boxes, offset).lookup(transform)
    kept = _select(scores.detach().numpy().copy(), factors, min_score)
    inds = torch.tensor(list(kept), dtype=torch.long)
    dets[: len(kept), :4] = boxes[inds].to(dets.dtype)
    dets[: len(kept), 4] = torch.tensor(list(kept.values()), dtype=dets.dtype)
    return inds


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """NMS that returns, for each kept box, the boxes it suppressed.

    Args:
        dets: (N, 5) on the CPU.
        iou_threshold: A box joins a group when its IoU is this or more (nms: more).

    Returns:
        Groups of indices, each led by the kept box, all by descending score.
    """
    order = dets[:, 4].sort(0, descending=True)[1]
    (boxes,) = widen(dets[order, :4])
    order = order.numpy()
    threshold = np.float32(iou_threshold)
    reaches = _BoxRows(boxes, 0).lookup(lambda iou: iou >= threshold)
    free = np.ones(len(order), dtype=bool)
    groups = []
    for leader in range(len(order)):
        if not free[leader]:
            continue
        free[leader] = False
        followers = np.flatnonzero(free & reaches(leader))
        free[followers] = False
        groups.append([int(order[leader]), *order[followers].tolist()])
    return groups
