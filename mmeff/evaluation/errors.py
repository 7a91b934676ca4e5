"""Kinds of errors by the definitions of TIDE (Bolya et al., 2020, section 2).

A wrong detection is, the first that fits:

- localisation: overlaps an object of its class by 0.1 to 0.5,
- classification: overlaps an object of another class by 0.5 or more,
- duplicate: overlaps an object of its class that a better detection has found,
- background: overlaps nothing by 0.1 or more,
- both: overlaps an object of another class by 0.1 to 0.5.

A missed object is one that was not found, and that no localisation or classification
error points to. What an error costs is the AP50 without errors of its kind less the AP50,
each kind alone: detections are corrected (the best one that points to an object not found
otherwise; the others are taken out) or taken out, missed objects are not expected.
"""

from dataclasses import dataclass

import numpy as np

from mmeff.evaluation.assignment import Assignment
from mmeff.evaluation.coco import RIGHT, WRONG, interpolated_precision
from mmeff.evaluation.pairs import Pairs, box_iou, find_pairs

KINDS = ('localisation', 'classification', 'duplicate', 'background', 'both')
LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH = range(len(KINDS))
BACKGROUND_OVERLAP = 0.1
OUT = -1  # the outcome of a detection that is taken out


@dataclass(frozen=True)
class Errors:
    """Counts and costs, by the names in `KINDS` and 'missed'.

    Attributes:
        counts: Number of errors.
        costs: AP50 that is lost to them, 0 to 1. Costs do not add up.
        false_positives: Cost of all wrong detections together.
        false_negatives: Cost of all objects that were not found.
        kinds: (D,) int, index in `KINDS` for each detection of the assignment; -1 if it
            is not wrong.
    """

    counts: dict[str, int]
    costs: dict[str, float]
    false_positives: float
    false_negatives: float
    kinds: np.ndarray


def find_errors(assignment: Assignment, threshold: float = 0.5) -> Errors:
    """Sort the wrong detections and count what they cost.

    Args:
        assignment: By class, with the same threshold.
        threshold: Of the overlap.
    """
    kinds, targets = _kinds(assignment, threshold)
    outcomes, labels = assignment.outcomes, assignment.found.label
    expected = ~assignment.truth.ignored
    found = np.zeros(len(expected), bool)
    found[assignment.objects[outcomes == RIGHT]] = True
    missed = expected & ~found
    missed[targets[targets >= 0]] = False
    base = _mean_ap(assignment, outcomes, labels, expected)
    counts, costs = {}, {}
    for kind, name in enumerate(KINDS):
        fixed = _fix(assignment, kinds == kind, targets, found)
        counts[name] = int((kinds == kind).sum())
        costs[name] = _mean_ap(assignment, *fixed, expected) - base
    counts['missed'] = int(missed.sum())
    costs['missed'] = _mean_ap(assignment, outcomes, labels, expected & ~missed) - base
    without_wrong = np.where(kinds >= 0, OUT, outcomes)
    return Errors(
        counts,
        costs,
        _mean_ap(assignment, without_wrong, labels, expected) - base,
        _mean_ap(assignment, outcomes, labels, expected & found) - base,
        kinds,
    )


def _kinds(assignment: Assignment, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(D,) index in `KINDS` or -1, and (D,) object that is to blame or -1."""
    truth, found = assignment.truth, assignment.found
    wrong = np.flatnonzero(assignment.outcomes == WRONG)
    order = np.flatnonzero(~truth.ignored)
    order = order[np.argsort(truth.image[order], kind='stable')]
    objects, detections = truth.take(order), found.take(wrong)
    pairs = find_pairs(
        detections,
        objects,
        detections.image,
        objects.image,
        BACKGROUND_OVERLAP,
        box_iou,
    )
    same = detections.label[pairs.found] == objects.label[pairs.truth]
    own, own_object = _best(pairs, same, len(wrong))
    other, other_object = _best(pairs, ~same, len(wrong))
    tests = [
        (own >= BACKGROUND_OVERLAP) & (own < threshold),
        other >= threshold,
        own >= threshold,
        np.maximum(own, other) < BACKGROUND_OVERLAP,
    ]
    kinds, targets = np.full((2, len(found)), -1)
    kinds[wrong] = np.select(tests, range(len(tests)), BOTH)
    blamed = np.select(tests[:2], [own_object, other_object], -1)
    targets[wrong[blamed >= 0]] = order[blamed[blamed >= 0]]
    return kinds, targets


def _best(
    pairs: Pairs, chosen: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Greatest overlap of each detection in the chosen pairs (0), and its object (-1)."""
    overlap, objects = np.zeros(count), np.full(count, -1)
    order = np.flatnonzero(chosen)
    order = order[np.lexsort((-pairs.overlap[order], pairs.found[order]))]
    detections, first = np.unique(pairs.found[order], return_index=True)
    overlap[detections] = pairs.overlap[order[first]]
    objects[detections] = pairs.truth[order[first]]
    return overlap, objects


def _fix(
    assignment: Assignment, chosen: np.ndarray, targets: np.ndarray, got: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and labels without the chosen errors."""
    found, truth = assignment.found, assignment.truth
    outcomes, labels = assignment.outcomes.copy(), found.label.copy()
    outcomes[chosen] = OUT
    able = np.flatnonzero(chosen & (targets >= 0))
    able = able[~got[targets[able]]]
    able = able[np.argsort(-found.scores[able], kind='stable')]
    _, first = np.unique(targets[able], return_index=True)
    able = able[first]
    outcomes[able] = RIGHT
    labels[able] = truth.label[targets[able]]
    return outcomes, labels


def _mean_ap(
    assignment: Assignment,
    outcomes: np.ndarray,
    labels: np.ndarray,
    expected: np.ndarray,
) -> float:
    """COCO's AP at one threshold, with changed detections or objects.

    Args:
        assignment: Gives the scores, and the classes that have objects.
        outcomes: (D,); others than RIGHT and WRONG do not count.
        labels: (D,) int.
        expected: (G,) bool, objects to find. A class of which none is left has the AP 0,
            as in TIDE's own code.
    """
    truth = assignment.truth
    counted = (outcomes == RIGHT) | (outcomes == WRONG)
    scores, outcomes, labels = (
        part[counted] for part in (assignment.found.scores, outcomes, labels)
    )
    order = np.argsort(-scores, kind='stable')
    values = []
    for label in np.unique(truth.label[~truth.ignored]):
        count = int((expected & (truth.label == label)).sum())
        chosen = order[labels[order] == label]
        ap = interpolated_precision(outcomes[chosen], count)[0].mean() if count else 0.0
        values.append(ap)
    return float(np.mean(values)) if values else 0.0
