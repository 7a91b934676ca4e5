"""Recall of proposals without classes, as mmdet's `proposal_fast` counts it."""

from collections.abc import Sequence

import numpy as np


def proposal_recalls(
    truth: Sequence[np.ndarray],
    proposals: Sequence[np.ndarray],
    limits: Sequence[int],
    thresholds: Sequence[float],
) -> np.ndarray:
    """Share of objects that one proposal each can be found for.

    In each image the pair with the greatest overlap is taken out, again and again.

    Args:
        truth: For each image (G, 4) boxes x1 y1 x2 y2.
        proposals: For each image (P, 4) boxes, best first.
        limits: How many proposals of an image count.
        thresholds: (T,) of the overlap.

    Returns:
        (number of limits, T); 0 if there are no objects.
    """
    overlaps = [_iou(*boxes) for boxes in zip(truth, proposals, strict=True)]
    recalls = np.zeros((len(limits), len(thresholds)))
    for row, limit in zip(recalls, limits, strict=True):
        parts = [_best_overlaps(overlap[:, :limit]) for overlap in overlaps]
        best = np.concatenate([np.zeros(0), *parts])
        row[:] = [
            (best >= threshold).sum() / max(len(best), 1) for threshold in thresholds
        ]
    return recalls


def _best_overlaps(overlap: np.ndarray) -> np.ndarray:
    """(G,) overlaps of the pairs in the order they are taken out; 0 without a partner."""
    overlap, best = overlap.copy(), np.zeros(len(overlap))
    for number in range(min(overlap.shape)):
        g, p = np.unravel_index(overlap.argmax(), overlap.shape)
        best[number] = overlap[g, p]
        overlap[g], overlap[:, p] = -1, -1
    return best


def _iou(truth: np.ndarray, proposals: np.ndarray) -> np.ndarray:
    """(G, P) intersection over union."""
    truth, proposals = truth[:, None].astype(float), proposals[None].astype(float)
    start = np.maximum(truth[..., :2], proposals[..., :2])
    end = np.minimum(truth[..., 2:], proposals[..., 2:])
    shared = np.prod(np.maximum(end - start, 0), -1)
    areas = [
        np.prod(boxes[..., 2:] - boxes[..., :2], -1) for boxes in (truth, proposals)
    ]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-6)
