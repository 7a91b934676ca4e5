"""Overlap of masks, by pycocotools' run lengths."""

import numpy as np
from pycocotools import mask as mask_utils

from mmeff.evaluation.objects import Found, Truth


def mask_iou(found: Found, truth: Truth, d: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Intersection over union, or over the detection's area where a crowd is meant.

    Detections that are paired with the same objects are compared in one call.

    Args:
        found: Detections with masks.
        truth: Objects with masks.
        d: (P,) indices of detections; the pairs of a detection are consecutive.
        g: (P,) indices of objects; those of a detection are consecutive and ascend.
    """
    values = np.zeros(len(d))
    new = np.flatnonzero(np.diff(d, prepend=-1))  # the first pair of each detection
    count = np.diff(new, append=len(d))
    first = g[new]
    blocks = np.flatnonzero(np.diff(first, prepend=-1))
    for start, stop in zip(blocks, [*blocks[1:], len(new)], strict=True):
        objects = slice(first[start], first[start] + count[start])
        overlap = mask_utils.iou(
            list(found.masks[d[new[start:stop]]]),
            list(truth.masks[objects]),
            truth.ignored[objects].astype(np.uint8).tolist(),
        )
        values[new[start] : new[start] + overlap.size] = overlap.ravel()
    return values


def mask_areas(masks: np.ndarray) -> np.ndarray:
    """(N,) float64, pixels of each mask."""
    # one by one: more than 255 at once are too many for it with numpy 2
    return np.array([mask_utils.area(mask) for mask in masks], float)
