"""Which detection found which object, at one threshold and all sizes."""

from dataclasses import dataclass

import numpy as np

from mmeff.evaluation.coco import IGNORED, RIGHT, WRONG, in_groups
from mmeff.evaluation.matching import match
from mmeff.evaluation.objects import Found, Truth, groups
from mmeff.evaluation.pairs import box_iou, find_pairs

MAX_DETS = 100  # of an image and class, as COCO counts


@dataclass(frozen=True)
class Assignment:
    """Detections and objects, each sorted by group.

    Attributes:
        truth: G objects.
        found: D detections.
        objects: (D,) int, index of the object that a detection found, or -1.
        outcomes: (D,) int, WRONG, RIGHT or IGNORED.
    """

    truth: Truth
    found: Found
    objects: np.ndarray
    outcomes: np.ndarray


def assign_by_class(truth: Truth, found: Found, threshold: float) -> Assignment:
    """COCO's assignment: the class must be the same.

    Args:
        truth: Objects.
        found: Detections.
        threshold: Of the overlap.
    """
    truth, found = in_groups(truth, found, MAX_DETS)
    return _assign(truth, found, *groups(truth, found), threshold)


def assign_any_class(truth: Truth, found: Found, threshold: float) -> Assignment:
    """The same by place alone, whatever the class; arguments as above."""
    truth = truth.take(np.argsort(truth.image, kind='stable'))
    found = found.take(np.lexsort((-found.scores, found.image)))
    return _assign(truth, found, truth.image, found.image, threshold)


def _assign(
    truth: Truth,
    found: Found,
    of_truth: np.ndarray,
    of_found: np.ndarray,
    threshold: float,
) -> Assignment:
    pairs = find_pairs(found, truth, of_found, of_truth, threshold, box_iou)
    matches = match(
        pairs, of_found, truth.ignored, truth.ignored[None], np.array([threshold])
    )
    objects = np.full(len(found), -1)
    objects[matches.candidates] = matches.objects[0, 0]
    outcomes = np.full(len(found), WRONG)
    got = objects >= 0
    outcomes[got] = np.where(truth.ignored[objects[got]], IGNORED, RIGHT)
    return Assignment(truth, found, objects, outcomes)
