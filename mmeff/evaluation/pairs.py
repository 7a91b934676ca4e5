"""Pairs of a detection and an object that lie in the same group, and their overlap."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mmeff.evaluation.objects import Found, Truth

# overlap(found, truth, d, g) -> (P,) for the pairs of found[d] and truth[g], where the
# pairs of a detection are consecutive.
Overlap = Callable[[Found, Truth, np.ndarray, np.ndarray], np.ndarray]
PAIRS_AT_ONCE = 2_000_000  # about 200 MB of temporary arrays


@dataclass(frozen=True)
class Pairs:
    """P pairs, sorted by detection.

    Attributes:
        found: (P,) int, index of the detection.
        truth: (P,) int, index of the object.
        overlap: (P,) float64.
    """

    found: np.ndarray
    truth: np.ndarray
    overlap: np.ndarray


def find_pairs(
    found: Found,
    truth: Truth,
    found_group: np.ndarray,
    truth_group: np.ndarray,
    least: float,
    overlap: Overlap,
) -> Pairs:
    """All pairs within a group that overlap enough.

    Args:
        found: D detections.
        truth: G objects.
        found_group: (D,) int, groups of the detections.
        truth_group: (G,) int, sorted.
        least: Overlap from which a pair is kept.
        overlap: How it is measured, such as `box_iou`.
    """
    kept = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for d, g in _all_pairs(found_group, truth_group):
        values = overlap(found, truth, d, g)
        enough = values >= least
        kept.append((d[enough], g[enough], values[enough]))
    return Pairs(*map(np.concatenate, zip(*kept, strict=True)))


def _all_pairs(
    found_group: np.ndarray, truth_group: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of the pairs, some millions at a time."""
    first = np.searchsorted(truth_group, found_group, 'left')
    count = np.searchsorted(truth_group, found_group, 'right') - first
    end = np.cumsum(count)
    total = int(end[-1]) if len(end) else 0
    cuts = np.searchsorted(end, np.arange(0, total, PAIRS_AT_ONCE), 'right')
    cuts = np.unique([*cuts, len(count)])
    for start, stop in itertools.pairwise(cuts):
        number = count[start:stop]
        d = np.repeat(np.arange(start, stop), number)
        offset = np.arange(len(d)) - np.repeat(np.cumsum(number) - number, number)
        yield d, first[d] + offset


def box_iou(found: Found, truth: Truth, d: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Intersection over union, or over the detection's area where a crowd is meant.

    The operations are those of pycocotools' C code in its order, so that the last bit
    is the same.
    """
    dx, dy, dw, dh = found.boxes[d].T
    gx, gy, gw, gh = truth.boxes[g].T
    width = np.minimum(dw + dx, gw + gx) - np.maximum(dx, gx)
    height = np.minimum(dh + dy, gh + gy) - np.maximum(dy, gy)
    shared = width * height
    area = dw * dh
    union = np.where(truth.ignored[g], area, area + gw * gh - shared)
    return _ratio(shared, union, (width > 0) & (height > 0))


def voc_iou(found: Found, truth: Truth, d: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes whose last pixels are in them, as VOC's are."""
    dx, dy, dw, dh = found.boxes[d].T
    gx, gy, gw, gh = truth.boxes[g].T
    width = np.minimum(dw + dx, gw + gx) - np.maximum(dx, gx) + 1
    height = np.minimum(dh + dy, gh + gy) - np.maximum(dy, gy) + 1
    shared = width * height
    union = (dw + 1) * (dh + 1) + (gw + 1) * (gh + 1) - shared
    return _ratio(shared, union, (width > 0) & (height > 0))


def _ratio(shared: np.ndarray, union: np.ndarray, meet: np.ndarray) -> np.ndarray:
    return np.divide(shared, union, out=np.zeros(len(shared)), where=meet)
