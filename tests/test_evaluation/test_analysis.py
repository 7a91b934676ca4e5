"""Curves, confusion and errors on scenes that can be checked by eye."""

import numpy as np
import pytest

from mmeff.evaluation.assignment import assign_by_class
from mmeff.evaluation.coco import evaluate
from mmeff.evaluation.confusion import confusion_matrix
from mmeff.evaluation.curves import curve
from mmeff.evaluation.errors import KINDS, find_errors
from mmeff.evaluation.from_coco import found_from_coco, numbered, truth_from_coco

from evaluation_cases import as_coco_results, make_case

BOX = [100, 100, 40, 40]
NEAR = [120, 100, 40, 40]  # overlaps BOX by a third
FAR = [300, 300, 40, 40]


def scene(objects, found):
    """Objects (label, box[, ignored]) and detections (label, box, score) of one image."""
    ids = {0: 0}, {0: 0, 1: 1}
    truth = truth_from_coco(
        [
            {'image_id': 0, 'category_id': label, 'bbox': box, 'iscrowd': bool(rest)}
            for label, box, *rest in objects
        ],
        *ids,
    )
    listed = [
        {'image_id': 0, 'category_id': label, 'bbox': box, 'score': score}
        for label, box, score in found
    ]
    return truth, found_from_coco(listed, *ids)


def generated(seed):
    coco, results = make_case(seed)
    images = numbered([image['id'] for image in coco['images']])
    labels = numbered([category['id'] for category in coco['categories']])
    truth = truth_from_coco(coco['annotations'], images, labels)
    listed = as_coco_results(coco, results)
    return truth, found_from_coco(listed, images, labels), len(labels)


# ---------------------------------------------------------------------------- curves


def test_curve_by_hand():
    """Right, wrong, then a right and a wrong one with the same score."""
    objects = [(0, BOX), (0, [200, 200, 40, 40]), (0, [10, 10, 9, 9])]
    found = [(0, BOX, 0.9), (0, FAR, 0.8), (0, objects[1][1], 0.5), (0, NEAR, 0.5)]
    got = curve(assign_by_class(*scene(objects, found), 0.5), 0)
    np.testing.assert_array_equal(got.scores, [0.9, 0.8, 0.5])
    np.testing.assert_allclose(got.precision, [1, 1 / 2, 2 / 4])
    np.testing.assert_allclose(got.recall, [1 / 3, 1 / 3, 2 / 3])
    np.testing.assert_allclose(got.f1, [1 / 2, 2 / 5, 4 / 7])
    assert got.best() == 2
    f1 = got.f1_at([0.95, 0.9, 0.85, 0.5, 0])
    np.testing.assert_allclose(f1, [0, 1 / 2, 1 / 2, 4 / 7, 4 / 7])


def test_curve_of_nothing():
    nothing_there = assign_by_class(*scene([(1, BOX)], [(0, BOX, 0.5)]), 0.5)
    assert curve(nothing_there, 0) is None
    nothing_found = curve(nothing_there, 1)
    assert nothing_found.best() is None
    assert nothing_found.f1_at([0.5]) == [0]


def test_who_finds_an_ignored_object_does_not_count():
    objects = [(0, BOX), (0, FAR, True)]
    got = curve(assign_by_class(*scene(objects, [(0, FAR, 0.9), (0, BOX, 0.5)]), 0.5))
    np.testing.assert_array_equal(got.precision, [1])
    np.testing.assert_array_equal(got.recall, [1])


# ------------------------------------------------------------------------- confusion


def test_confusion_by_hand():
    objects = [(0, BOX), (1, FAR), (1, [200, 10, 30, 30]), (0, [10, 200, 30, 30], True)]
    found = [
        (0, BOX, 0.9),  # right
        (0, BOX, 0.8),  # nothing left there
        (0, FAR, 0.7),  # 1 taken for 0
        (1, [10, 200, 30, 30], 0.6),  # ignored
        (1, [200, 10, 30, 30], 0.1),  # score too low, so it is missed
    ]
    matrix = confusion_matrix(*scene(objects, found), 2, score=0.5)
    assert matrix.tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize('seed', range(3))
def test_confusion_counts_each_object_once(seed):
    truth, found, num_labels = generated(seed)
    matrix = confusion_matrix(truth, found, num_labels, score=0.3)
    counts = np.bincount(truth.label[~truth.ignored], minlength=num_labels)
    np.testing.assert_array_equal(matrix[:-1].sum(1), counts)


def test_confusion_without_objects():
    matrix = confusion_matrix(*scene([], [(1, BOX, 0.9)]), 2, score=0.5)
    assert matrix.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


# ---------------------------------------------------------------------------- errors


def errors_of(objects, found):
    return find_errors(assign_by_class(*scene(objects, found), 0.5))


@pytest.mark.parametrize(
    ('found', 'kind'),
    [
        ((0, NEAR, 0.9), 'localisation'),
        ((1, BOX, 0.9), 'classification'),
        ((0, BOX, 0.4), 'duplicate'),
        ((0, FAR, 0.9), 'background'),
        ((1, NEAR, 0.9), 'both'),
    ],
)
def test_kind_of_an_error(found, kind):
    errors = errors_of([(0, BOX)], [(0, BOX, 0.5), found])
    expected = dict.fromkeys((*KINDS, 'missed'), 0) | {kind: 1}
    assert errors.counts == expected
    # two classes have detections, but AP is a mean over those with objects
    cost = 0.5 if found[0] == 0 and found[2] > 0.5 else 0
    assert errors.costs[kind] == pytest.approx(cost)
    assert errors.false_positives == pytest.approx(cost)


def test_object_of_another_class_comes_before_a_duplicate():
    errors = errors_of([(0, BOX), (1, BOX)], [(0, BOX, 0.9), (0, BOX, 0.8)])
    assert errors.counts['classification'] == 1
    assert errors.counts['duplicate'] == 0


def test_localisation_is_corrected_to_the_object():
    errors = errors_of([(0, BOX)], [(0, NEAR, 0.9)])
    assert errors.costs['localisation'] == pytest.approx(1)
    assert errors.counts['missed'] == 0  # the error points to it
    assert errors.false_positives == 0


def test_only_the_best_error_of_an_object_is_corrected():
    """The other is taken out, so precision stays 1."""
    found = [(0, NEAR, 0.9), (0, [80, 100, 40, 40], 0.8)]
    errors = errors_of([(0, BOX)], found)
    assert errors.counts['localisation'] == 2
    assert errors.costs['localisation'] == pytest.approx(1)


def test_classification_is_corrected_to_the_class():
    errors = errors_of([(0, BOX), (1, FAR)], [(1, BOX, 0.9), (1, FAR, 0.8)])
    # class 0: 0 -> 1, class 1: 1/2 -> 1
    assert errors.costs['classification'] == pytest.approx(0.75)


def test_missed_objects():
    errors = errors_of([(0, BOX), (0, FAR)], [(0, BOX, 0.9)])
    ap = 51 / 101  # recalls 0, 0.01, ..., 0.5
    assert errors.counts['missed'] == 1
    assert errors.costs['missed'] == pytest.approx(1 - ap)
    assert errors.false_negatives == pytest.approx(1 - ap)


def test_ignored_objects_are_no_errors():
    errors = errors_of([(0, BOX), (0, FAR, True)], [(0, BOX, 0.9), (0, FAR, 0.8)])
    assert sum(errors.counts.values()) == 0
    assert not any(errors.costs.values())


@pytest.mark.parametrize('seed', range(4))
def test_generated_errors_add_up(seed):
    truth, found, num_labels = generated(seed)
    assignment = assign_by_class(truth, found, 0.5)
    errors = find_errors(assignment)
    wrong = int((assignment.outcomes == 0).sum())
    assert sum(errors.counts[name] for name in KINDS) == wrong
    assert min(errors.costs.values()) >= -1e-12
    # without wrong detections and without missed objects all is right
    base = evaluate(truth, found, num_labels).ap(0.5)
    assert max(errors.costs.values()) <= 1 - base + 1e-12
    assert errors.false_negatives > errors.costs['missed'] - 1e-12
