"""Pareto fronts, rank correlation and label places against small examples by hand."""

import numpy as np
import pytest

from mmeff.reporting.compare import pareto_front, rank_correlation
from mmeff.reporting.labels import overlap, place_labels

#          0        1        2        3        4
POINTS = [(1, 10), (2, 12), (3, 11), (4, 15), (2, 9)]


@pytest.mark.parametrize(
    ('best', 'front'),
    [
        (('low', 'high'), [0, 1, 3]),
        (('high', 'high'), [3]),
        (('low', 'low'), [0, 4]),
        (('high', 'low'), [4, 2, 3]),
    ],
)
def test_front_has_the_points_that_none_beats(best, front):
    assert pareto_front(POINTS, best) == front


def test_equal_points_are_both_on_the_front():
    assert pareto_front([(1, 1), (1, 1), (2, 1)], ('low', 'high')) == [0, 1]


def test_same_cost_and_less_accuracy_is_not_on_the_front():
    assert pareto_front([(1, 1), (1, 2)], ('low', 'high')) == [1]


def test_no_points_have_no_front():
    assert pareto_front([], ('low', 'high')) == []


def test_rank_correlation_is_spearman_s():
    # ranks 1 4 2.5 2.5 5 and 2 5 3 1 4: covariance 7, variances 9.5 and 10
    x, y = [1, 5, 2, 2, 9], [3, 30, 4, 1, 20]
    assert rank_correlation(x, y) == pytest.approx(7 / 95**0.5)
    assert rank_correlation([1, 2, 3], [10, 100, 1000]) == pytest.approx(1)


def test_rank_correlation_needs_three_different_numbers():
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


def test_labels_avoid_each_other_and_the_points():
    points = [(50, 50), (60, 52), (55, 60)]
    sizes = [(40, 10)] * 3
    places = place_labels(points, sizes, (0, 0, 200, 200), distance=3)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(places, sizes, strict=True)]
    for i, box in enumerate(boxes):
        assert all(overlap(box, other) == 0 for other in boxes[i + 1 :])
        assert not any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in points)


def test_labels_stay_inside_the_frame():
    corners = [(0, 0), (100, 0), (0, 100), (100, 100)]
    places = place_labels(corners, [(30, 10)] * 4, (0, 0, 100, 100), distance=3)
    assert np.all(np.array(places) >= 0)
    assert np.all(np.array(places) + (30, 10) <= 100)
