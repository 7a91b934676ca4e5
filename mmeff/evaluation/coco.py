"""COCO's average precision and recall, equal to pycocotools to the last bit.

pycocotools loops in Python over images, classes, areas, thresholds and detections; here
they are axes of arrays. What is exact: overlaps, ties of scores and of overlaps, crowds,
areas on the border of a range, the interpolation, and the order in which means are summed.
An annotation with the id 0 is an object like any other, where pycocotools takes whoever
finds it for a false positive.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmeff.evaluation.matching import NEARLY_ONE, count_up, match
from mmeff.evaluation.objects import Found, Truth, groups
from mmeff.evaluation.pairs import Overlap, box_iou, find_pairs

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
# Square pixels; both ends belong to a range.
AREAS = {
    'all': (0, 1e5**2),
    'small': (0, 32**2),
    'medium': (32**2, 96**2),
    'large': (96**2, 1e5**2),
}
WRONG, RIGHT, IGNORED = range(3)


@dataclass(frozen=True)
class CocoScores:
    """Precision and recall of K classes; -1 where a class has no object.

    Attributes:
        precision: (T, 101, K, 4, M), at the recalls 0, 0.01, ..., 1; best first.
        recall: (T, K, 4, M), greatest.
        thresholds: (T,) of the overlap.
        max_dets: M limits of detections for each image and class, ascending.
    """

    precision: np.ndarray
    recall: np.ndarray
    thresholds: np.ndarray
    max_dets: tuple[int, ...]

    def ap(
        self,
        threshold: float | None = None,
        area: str = 'all',
        max_dets: int | None = None,
        label: int | slice = slice(None),
    ) -> float:
        """Mean precision, or -1 if there is none.

        Args:
            threshold: One of `thresholds`; all when None.
            area: One of `AREAS`.
            max_dets: One of `max_dets`; the greatest when None.
            label: One class; all by default.
        """
        return _mean(self._part(self.precision, threshold, area, max_dets)[:, :, label])

    def ar(self, area: str = 'all', max_dets: int | None = None) -> float:
        """Mean of the greatest recalls, or -1 if there is none; arguments as of `ap`."""
        return _mean(self._part(self.recall, None, area, max_dets))

    def stats(self) -> np.ndarray:
        """(12,) numbers of pycocotools' `stats`; needs three limits of detections.

        AP, AP50, AP75, AP small, medium, large, AR at each limit, AR small, medium, large.
        The first is AP with 100 detections, and -1 if that is none of the limits.
        """
        sizes = ('small', 'medium', 'large')
        values = [self.ap(max_dets=100), self.ap(0.5), self.ap(0.75)]
        values += [self.ap(area=area) for area in sizes]
        values += [self.ar(max_dets=limit) for limit in self.max_dets]
        return np.array([*values, *(self.ar(area=area) for area in sizes)])

    def _part(self, values, threshold, area, max_dets) -> np.ndarray:
        limits = np.array(self.max_dets)
        if threshold is not None:
            values = values[self.thresholds == threshold]
        limit = limits == (limits[-1] if max_dets is None else max_dets)
        return values[..., list(AREAS).index(area), :][..., limit]


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return values.mean() if values.size else -1.0


def evaluate(
    truth: Truth,
    found: Found,
    num_labels: int,
    thresholds: Sequence[float] = THRESHOLDS,
    max_dets: Sequence[int] = (1, 10, 100),
    overlap: Overlap = box_iou,
    by_class: bool = True,
) -> CocoScores:
    """Compare detections with objects.

    Args:
        truth: Objects, where those of an image are in the order of the annotation file.
        found: Detections, where those of an image are in the order of the results.
        num_labels: K; labels are 0 to K - 1.
        thresholds: Of the overlap.
        max_dets: How many detections of each image and class count, best first.
        overlap: `box_iou`, or `masks.mask_iou`.
        by_class: Whether the class must be the same; K becomes 1 if not.
    """
    thresholds = np.asarray(thresholds, float)
    max_dets = tuple(sorted(max_dets))
    truth, found = in_groups(truth, found, max_dets[-1], by_class)
    ignored = truth.ignored | _outside(truth.area)
    outcomes = _outcomes(truth, found, ignored, thresholds, overlap)
    num_labels = num_labels if by_class else 1
    counts = [np.bincount(truth.label[~row], minlength=num_labels) for row in ignored]
    return CocoScores(
        *_accumulate(found, outcomes, np.array(counts), max_dets), thresholds, max_dets
    )


def in_groups(
    truth: Truth, found: Found, max_dets: int | None = None, by_class: bool = True
) -> tuple[Truth, Found]:
    """Sort by class and image, detections of such a group by falling score.

    Args:
        truth: Objects.
        found: Detections.
        max_dets: How many detections of a group are kept; all when None.
        by_class: If not, a group is an image, and all labels become 0.
    """
    of_truth, of_found = truth.image, found.image
    if by_class:
        of_truth, of_found = groups(truth, found)
    # the class breaks ties where groups have several
    truth = truth.take(np.lexsort((truth.label, of_truth)))
    ties = () if by_class else (found.label,)
    order = np.lexsort((*ties, -found.scores, of_found))
    if max_dets is not None:
        order = order[count_up(of_found[order]) < max_dets]
    found = found.take(order)
    if not by_class:
        truth, found = (
            replace(part, label=np.zeros_like(part.label)) for part in (truth, found)
        )
    return truth, found


def by_score(found: Found, num_labels: int) -> Iterator[np.ndarray]:
    """For each class the indices of its detections by falling score.

    Args:
        found: Sorted by class; the order within a class decides between equal scores.
        num_labels: Number of classes.
    """
    bounds = np.searchsorted(found.label, np.arange(num_labels + 1))
    for start, stop in itertools.pairwise(bounds):
        yield start + np.argsort(-found.scores[start:stop], kind='stable')


def _outside(area: np.ndarray) -> np.ndarray:
    """(A, N) bool, whether an area is in none of `AREAS`, one by one."""
    low, high = np.array(list(AREAS.values()), float).T[:, :, None]
    return (area < low) | (area > high)


def _outcomes(
    truth: Truth,
    found: Found,
    ignored: np.ndarray,
    thresholds: np.ndarray,
    overlap: Overlap,
) -> np.ndarray:
    """(A, T, D) int8: what each detection is, by area and threshold.

    A detection is ignored when its object is, or when it has none and another size.
    """
    of_truth, of_found = groups(truth, found)
    least = min(thresholds.min(), NEARLY_ONE)
    pairs = find_pairs(found, truth, of_found, of_truth, least, overlap)
    matches = match(pairs, of_found, truth.ignored, ignored, thresholds)
    outcomes = np.where(_outside(found.area), IGNORED, WRONG).astype(np.int8)
    outcomes = outcomes[:, None].repeat(len(thresholds), 1)
    a, t, c = np.nonzero(matches.objects >= 0)
    is_ignored = ignored[a, matches.objects[a, t, c]]
    outcomes[a, t, matches.candidates[c]] = np.where(is_ignored, IGNORED, RIGHT)
    return outcomes


def _accumulate(
    found: Found, outcomes: np.ndarray, counts: np.ndarray, max_dets: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Precision (T, 101, K, A, M) and recall (T, K, A, M).

    Args:
        found: D detections, sorted by class, image and falling score.
        outcomes: (A, T, D), of `_outcomes`.
        counts: (A, K) int, objects to find.
        max_dets: M limits.
    """
    num_areas, num_labels = counts.shape
    shape = outcomes.shape[1], num_labels, num_areas, len(max_dets)
    recall, precision = -np.ones(shape), -np.ones((shape[0], len(RECALLS), *shape[1:]))
    rank = count_up(groups(found)[0])
    for k, chosen in enumerate(by_score(found, num_labels)):
        before = -1
        for m, limit in enumerate(max_dets):
            some = chosen[rank[chosen] < limit]
            if len(some) == before:  # this limit cuts off nothing more than the last
                precision[:, :, k, :, m] = precision[:, :, k, :, m - 1]
                recall[:, k, :, m] = recall[:, k, :, m - 1]
                continue
            before = len(some)
            for a in np.flatnonzero(counts[:, k]):
                for t, outcome in enumerate(outcomes[a][:, some]):
                    curve = interpolated_precision(outcome, counts[a, k])
                    precision[t, :, k, a, m], recall[t, k, a, m] = curve
    return precision, recall


def interpolated_precision(outcome: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Precision at `RECALLS`, and the greatest recall.

    Args:
        outcome: (N,) of the detections by falling score.
        count: Objects that there are to find, at least 1.
    """
    precision = np.zeros(len(RECALLS))
    if not len(outcome):
        return precision, 0.0
    right = np.cumsum(outcome == RIGHT).astype(float)
    wrong = np.cumsum(outcome == WRONG).astype(float)
    recalls = right / count
    precisions = right / (wrong + right + np.spacing(1))
    best = np.maximum.accumulate(precisions[::-1])[::-1]
    place = np.searchsorted(recalls, RECALLS)
    reached = place < len(best)
    precision[reached] = best[place[reached]]
    return precision, recalls[-1]
