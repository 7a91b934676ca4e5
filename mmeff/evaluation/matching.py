"""COCO's matching of detections and objects, for all groups and thresholds at once.

Within a group detections come one after another, by score, and each takes the best
object that is left. Groups do not know each other, so the first detections of all groups
choose at the same time, then the second ones, and so on.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from mmeff.evaluation.pairs import Pairs

NONE = np.int32(2**31 - 1)
SECOND_CHOICE = np.int32(2**30)
NEARLY_ONE = 1 - 1e-10  # pycocotools' limit of a threshold


@dataclass(frozen=True)
class Matches:
    """Which object each detection got.

    Attributes:
        candidates: (C,) int, detections that overlap an object enough; no other can
            have got one.
        objects: (A, T, C) int32, index of the object, or -1.
    """

    candidates: np.ndarray
    objects: np.ndarray


def match(
    pairs: Pairs,
    found_group: np.ndarray,
    crowd: np.ndarray,
    ignored: np.ndarray,
    thresholds: np.ndarray,
) -> Matches:
    """Give objects to detections as pycocotools does.

    A detection takes, of the objects that overlap by the threshold or more and are free,
    the one with the greatest overlap, of several the last. An ignored object is taken
    only if there is no other; crowds are never used up.

    Args:
        pairs: Of D detections, sorted by group and falling score, with G objects.
        found_group: (D,) int, group of each detection.
        crowd: (G,) bool.
        ignored: (A, G) bool, for each of A ways to look at the objects.
        thresholds: (T,) float.
    """
    candidates, place = np.unique(pairs.found, return_inverse=True)
    turn = count_up(found_group[candidates])[place]
    order = np.lexsort((-pairs.truth, -pairs.overlap, pairs.found, turn))
    place, turn, truth = place[order], turn[order], pairs.truth[order]
    reached = pairs.overlap[order] >= np.minimum(thresholds, NEARLY_ONE)[:, None]
    objects = np.full((len(ignored), len(thresholds), len(candidates)), -1, np.int32)
    taken = np.zeros((len(ignored), len(thresholds), len(crowd)), bool)
    bounds = np.flatnonzero(np.diff(turn, prepend=-1, append=-1))
    for start, stop in itertools.pairwise(bounds):
        now = slice(start, stop)
        starts = np.flatnonzero(np.diff(place[now], prepend=-1))
        free = reached[:, now] & (~taken[:, :, truth[now]] | crowd[truth[now]])
        chosen = _best(free, ignored[:, truth[now]], truth[now], starts)
        objects[:, :, place[now][starts]] = chosen
        a, t, c = np.nonzero(chosen >= 0)
        taken[a, t, chosen[a, t, c]] = True
    return Matches(candidates, objects)


def _best(
    free: np.ndarray, ignored: np.ndarray, truth: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """(A, T, C) int32, the objects that detections of different groups take, or -1.

    Args:
        free: (A, T, P) bool, whether the object of a pair can be taken. The pairs of a
            detection are consecutive, best first.
        ignored: (A, P) bool, whether it is ignored.
        truth: (P,) int, which object it is.
        starts: (C,) int, first pair of each detection.
    """
    place = np.arange(len(truth), dtype=np.int32) + SECOND_CHOICE * ignored[:, None]
    first = np.minimum.reduceat(np.where(free, place, NONE), starts, axis=2)
    chosen = np.full(first.shape, -1, np.int32)
    chosen[first < NONE] = truth[first[first < NONE] % SECOND_CHOICE]
    return chosen


def count_up(groups: np.ndarray) -> np.ndarray:
    """(N,) int, 0, 1, 2, ... within each run of equal numbers."""
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    length = np.diff(first, append=len(groups))
    return np.arange(len(groups)) - np.repeat(first, length)
