"""What was found in the place of what."""

import numpy as np

from mmeff.evaluation.assignment import assign_any_class
from mmeff.evaluation.coco import IGNORED
from mmeff.evaluation.objects import Found, Truth


def confusion_matrix(
    truth: Truth,
    found: Found,
    num_labels: int,
    score: float,
    threshold: float = 0.5,
) -> np.ndarray:
    """Count pairs of an object's class and the class that was found there.

    Detections take objects by place alone: one after another by score, each the one that
    it overlaps most of those that are left.

    Args:
        truth: Objects.
        found: Detections.
        num_labels: K; labels are 0 to K - 1.
        score: From which detections count.
        threshold: Of the overlap.

    Returns:
        (K + 1, K + 1) int: rows are classes of objects, columns those of detections. The
        last column has missed objects, the last row detections where no object is. Who
        found an ignored object is left out.
    """
    found = found.take(found.scores >= score)
    assignment = assign_any_class(truth, found, threshold)
    truth, found = assignment.truth, assignment.found
    matrix = np.zeros((num_labels + 1, num_labels + 1), int)
    counted = assignment.outcomes != IGNORED
    objects, columns = assignment.objects[counted], found.label[counted]
    names = np.append(truth.label, num_labels)  # -1, no object, is the last one
    rows = names[objects]
    np.add.at(matrix, (rows, columns), 1)
    missed = ~truth.ignored
    missed[objects[objects >= 0]] = False
    np.add.at(matrix, (truth.label[missed], num_labels), 1)
    return matrix
