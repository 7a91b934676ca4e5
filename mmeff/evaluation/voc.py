"""Average precision of PASCAL VOC, by the rules of its development kit.

A detection goes to the object of its class that it overlaps most, whether that one is
taken or not. If the overlap is enough it is right, unless another detection with a higher
score was right there: then it is a duplicate, which is wrong. Whoever goes to a difficult
object is left out of the count, and so are difficult objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmeff.evaluation.coco import IGNORED, RIGHT, WRONG, by_score, in_groups
from mmeff.evaluation.objects import Found, Truth, groups
from mmeff.evaluation.pairs import find_pairs, voc_iou

MODES = ('11points', 'area')  # VOC2007's and that of VOC2010 to VOC2012


@dataclass(frozen=True)
class VocScores:
    """Numbers of K classes at T thresholds.

    Attributes:
        ap: (T, K), NaN where a class has no object that counts.
        recall: (T, K), greatest; NaN likewise.
        num_objects: (K,) int, without difficult ones.
        num_found: (K,) int.
    """

    ap: np.ndarray
    recall: np.ndarray
    num_objects: np.ndarray
    num_found: np.ndarray

    def mean_ap(self) -> np.ndarray:
        """(T,) mean over the classes that have objects; 0 if none has."""
        known = self.ap[:, self.num_objects > 0]
        return known.mean(1) if known.size else np.zeros(len(self.ap))


def evaluate_voc(
    truth: Truth,
    found: Found,
    num_labels: int,
    thresholds: Sequence[float] = (0.5,),
    mode: str = '11points',
) -> VocScores:
    """Compare detections with objects.

    Args:
        truth: Objects; difficult ones are `ignored`.
        found: Detections. Of equal scores the first comes first.
        num_labels: K; labels are 0 to K - 1.
        thresholds: Of the overlap, above 0.
        mode: '11points' or 'area'.
    """
    truth, found = in_groups(truth, found)
    outcomes = _outcomes(truth, found, thresholds)
    counts = np.bincount(truth.label[~truth.ignored], minlength=num_labels)
    ap, recall = np.full((2, len(thresholds), num_labels), np.nan)
    for k, chosen in enumerate(by_score(found, num_labels)):
        if counts[k]:
            for t, outcome in enumerate(outcomes[:, chosen]):
                ap[t, k] = average_precision(outcome, counts[k], mode)
                recall[t, k] = (outcome == RIGHT).sum() / counts[k]
    num_found = np.bincount(found.label, minlength=num_labels)
    return VocScores(ap, recall, counts, num_found)


def average_precision(outcome: np.ndarray, count: int, mode: str) -> float:
    """AP of one class.

    Args:
        outcome: (N,) WRONG, RIGHT or IGNORED, by falling score.
        count: Objects that there are to find, at least 1.
        mode: '11points': mean of the best precisions at a recall of 0, 0.1, ..., 1 or
            more. Recalls are compared as fractions, so that 3 of 10 reach 0.3. 'area':
            area under the curve of the best precision at each recall or more.
    """
    outcome = outcome[outcome != IGNORED]
    right = np.cumsum(outcome == RIGHT)
    precision = right / np.arange(1, len(outcome) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if mode == 'area':
        return best[outcome == RIGHT].sum() / count
    place = np.searchsorted(10 * right, np.arange(11) * count)
    return best[place[place < len(best)]].sum() / 11


def _outcomes(truth: Truth, found: Found, thresholds: Sequence[float]) -> np.ndarray:
    """(T, D) int8; both parts are sorted by class, image and falling score."""
    of_truth, of_found = groups(truth, found)
    pairs = find_pairs(found, truth, of_found, of_truth, min(thresholds), voc_iou)
    order = np.lexsort((-pairs.overlap, pairs.found))  # stable: of equals the first
    candidates, first = np.unique(pairs.found[order], return_index=True)
    wanted, overlap = pairs.truth[order][first], pairs.overlap[order][first]
    outcomes = np.full((len(thresholds), len(found)), WRONG, np.int8)
    for row, threshold in zip(outcomes, thresholds, strict=True):
        enough = np.flatnonzero(overlap >= threshold)
        row[candidates[enough[truth.ignored[wanted[enough]]]]] = IGNORED
        counted = enough[~truth.ignored[wanted[enough]]]
        _, winners = np.unique(wanted[counted], return_index=True)
        row[candidates[counted[winners]]] = RIGHT
    return outcomes
