"""Precision, recall and F1 as functions of the score from which detections count."""

from dataclasses import dataclass

import numpy as np

from mmeff.evaluation.assignment import Assignment
from mmeff.evaluation.coco import IGNORED, RIGHT


@dataclass(frozen=True)
class Curve:
    """N points, one for each score that occurs.

    Attributes:
        scores: (N,) descending; detections of this score and above count.
        precision: (N,)
        recall: (N,)
        f1: (N,) harmonic mean of the two.
    """

    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    def best(self) -> int | None:
        """Index of the point with the greatest F1, of equals the highest score."""
        return int(self.f1.argmax()) if len(self.f1) else None

    def f1_at(self, scores: np.ndarray) -> np.ndarray:
        """F1 with detections of at least these scores; 0 where none has so much."""
        place = np.searchsorted(-self.scores, -np.asarray(scores), 'right')
        return np.concatenate([[0], self.f1])[place]


def curve(assignment: Assignment, label: int | None = None) -> Curve | None:
    """The curve of one class, or of all detections together.

    Args:
        assignment: By class.
        label: The class; all together when None.

    Returns:
        None if there is no object to find.
    """
    truth, found = assignment.truth, assignment.found
    of_truth = ~truth.ignored & (True if label is None else truth.label == label)
    chosen = assignment.outcomes != IGNORED
    if label is not None:
        chosen &= found.label == label
    count = int(of_truth.sum())
    if not count:
        return None
    scores = found.scores[chosen]
    order = np.argsort(-scores, kind='stable')
    scores = scores[order]
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # of each score that occurs
    right = np.cumsum(assignment.outcomes[chosen][order] == RIGHT)[last]
    precision, recall = right / (last + 1), right / count
    return Curve(scores[last], precision, recall, 2 * right / (last + 1 + count))
