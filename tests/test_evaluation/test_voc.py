"""VOC's AP against a slow and plain program of its rules, and against mmdet's."""

from fractions import Fraction

import mmdet.evaluation
import numpy as np
import pytest
import torch

from mmeff.evaluation.metrics import VOCMetric

CLASSES = ('a', 'b', 'c', 'd')


def make_samples(seed, num_images=15, num_found=25, equal_scores=True):
    """Whole-number boxes, as VOC's are; class d has no object that counts."""
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(num_images):
        count = 0 if number == 3 else int(rng.integers(1, 7))
        objects = _boxes(rng, count)
        labels = rng.integers(0, 4, count)
        difficult = (rng.random(count) < 0.25) | (labels == 3)
        found = _boxes(rng, 0 if number == 5 else num_found)
        given = rng.integers(0, 4, len(found))
        if count:
            source = rng.integers(0, count, len(found))
            near = rng.random(len(found)) < 0.7
            found[near] = (objects[source] + rng.integers(-8, 9, found.shape))[near]
            given[near] = labels[source][near]
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 2)
        scores = rng.permutation(len(found)) + number / num_images
        scores = scores.round(0) / 40 if equal_scores else scores / 40
        samples.append(
            {
                'gt_instances': _instances(objects[~difficult], labels[~difficult]),
                'ignored_instances': _instances(objects[difficult], labels[difficult]),
                'pred_instances': {
                    **_instances(found, given),
                    'scores': torch.from_numpy(scores).float(),
                },
            }
        )
    return samples


def _boxes(rng, count):
    start = rng.integers(0, 150, (count, 2))
    return np.concatenate([start, start + rng.integers(10, 90, (count, 2))], 1)


def _instances(boxes, labels):
    boxes = torch.from_numpy(boxes.reshape(-1, 4)).float()
    return {'bboxes': boxes, 'labels': torch.from_numpy(labels)}


def plain_voc(samples, label, threshold, mode):
    """AP of a class as a fraction; None if it has no object that counts."""
    objects, found = [], []
    for number, sample in enumerate(samples):
        for kind in ('gt_instances', 'ignored_instances'):
            for box, own in zip(*_lists(sample[kind]), strict=True):
                if own == label:
                    entry = {'image': number, 'box': box, 'taken': False}
                    entry['difficult'] = kind == 'ignored_instances'
                    objects.append(entry)
        part = sample['pred_instances']
        for box, own, score in zip(*_lists(part), part['scores'].tolist(), strict=True):
            if own == label:
                found.append((score, number, box))
    count = sum(not entry['difficult'] for entry in objects)
    if not count:
        return None
    right = wrong = 0
    points = []
    for _, number, box in sorted(found, key=lambda entry: -entry[0]):
        best, wanted = Fraction(0), None
        for entry in objects:
            if entry['image'] == number:
                overlap = _overlap(box, entry['box'])
                if overlap > best:
                    best, wanted = overlap, entry
        if wanted is not None and best >= threshold:
            if wanted['difficult']:
                continue
            right += not wanted['taken']
            wrong += wanted['taken']
            wanted['taken'] = True
        else:
            wrong += 1
        points.append((Fraction(right, count), Fraction(right, right + wrong)))
    if mode == '11points':
        tenths = [Fraction(k, 10) for k in range(11)]
        return (
            sum(max([p for r, p in points if r >= t], default=0) for t in tenths) / 11
        )
    area = last = Fraction(0)
    for recall in sorted({recall for recall, _ in points}):
        area += (recall - last) * max(p for r, p in points if r >= recall)
        last = recall
    return area


def _lists(part):
    return part['bboxes'].tolist(), part['labels'].tolist()


def _overlap(one, other):
    """Corners are pixels that belong to the box."""
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    if width <= 0 or height <= 0:
        return Fraction(0)
    areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (one, other)]
    return Fraction(int(width * height), int(sum(areas) - width * height))


def run(metric, samples):
    metric.dataset_meta = {'classes': CLASSES}
    metric.process({}, samples)
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('mode', ['11points', 'area'])
@pytest.mark.parametrize('seed', range(8))
def test_same_as_the_plain_program(seed, mode):
    samples = make_samples(seed)
    thresholds = (0.5, 0.75)
    found = run(VOCMetric(thresholds, eval_mode=mode), samples)
    means = []
    for threshold in thresholds:
        aps = [plain_voc(samples, label, threshold, mode) for label in range(4)]
        assert aps[3] is None
        means.append(float(sum(aps[:3]) / 3))
    assert list(found) == ['pascal_voc/mAP', 'pascal_voc/AP50', 'pascal_voc/AP75']
    assert found['pascal_voc/mAP'] == pytest.approx(sum(means) / 2, abs=1e-14)
    assert found['pascal_voc/AP50'] == round(means[0], 3)
    assert 0 < means[1] < means[0] < 0.9


@pytest.mark.parametrize('seed', range(4))
def test_same_as_mmdet_where_mmdet_is_right(seed):
    """With scores that differ, and the area under the curve."""
    samples = make_samples(seed, equal_scores=False)
    found = run(VOCMetric(eval_mode='area'), samples)
    expected = run(mmdet.evaluation.VOCMetric(eval_mode='area'), samples)
    assert found['pascal_voc/mAP'] == pytest.approx(
        expected['pascal_voc/mAP'], abs=1e-6
    )
    assert list(found) == list(expected)


def _one_class(num_objects, hits):
    """Objects in a row, and for each True of `hits` a detection that finds one."""
    objects = np.array([[40 * i, 0, 40 * i + 20, 20] for i in range(num_objects)])
    rest = iter(objects)
    found = [next(rest) if hit else [0, 500, 20, 520] for hit in hits]
    return [
        {
            'gt_instances': _instances(objects, np.zeros(num_objects, int)),
            'ignored_instances': _instances(np.zeros((0, 4)), np.zeros(0, int)),
            'pred_instances': {
                **_instances(np.array(found), np.zeros(len(hits), int)),
                'scores': torch.linspace(0.9, 0.1, len(hits)),
            },
        }
    ] * 2


def test_recall_of_exactly_three_tenths_reaches_the_third_point():
    """mmdet compares with 0.30000000000000004, so it gives 3/11."""
    samples = _one_class(10, [True] * 3)
    assert run(VOCMetric(), samples)['pascal_voc/mAP'] == pytest.approx(4 / 11)
    mmdets = run(mmdet.evaluation.VOCMetric(), samples)
    assert mmdets['pascal_voc/mAP'] == pytest.approx(3 / 11)


def test_duplicates_are_wrong():
    samples = _one_class(2, [True, True])
    for sample in samples[:1]:
        found = sample['pred_instances']
        for key in ('bboxes', 'labels', 'scores'):
            found[key] = torch.cat([found[key], found[key]])
        found['scores'] = torch.tensor([0.9, 0.5, 0.8, 0.4])  # right wrong right wrong
    value = run(VOCMetric(eval_mode='area'), samples[:1])['pascal_voc/mAP']
    assert value == pytest.approx((1 + 2 / 3) / 2)


def test_names_of_thresholds_are_rounded():
    """int(100 * 0.58) is 57."""
    found = run(VOCMetric([0.57, 0.58]), make_samples(0))
    assert list(found)[1:] == ['pascal_voc/AP57', 'pascal_voc/AP58']


def test_nothing_found_and_nothing_there():
    samples = make_samples(0)
    for sample in samples:
        sample['pred_instances'] = {
            **_instances(np.zeros((0, 4)), np.zeros(0, int)),
            'scores': torch.zeros(0),
        }
    assert run(VOCMetric(), samples)['pascal_voc/mAP'] == 0
    for sample in samples:
        sample['gt_instances'] = _instances(np.zeros((0, 4)), np.zeros(0, int))
    assert run(VOCMetric(), samples)['pascal_voc/mAP'] == 0


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'metric': 'recall'}, 'mAP only'),
        ({'eval_mode': 'all'}, 'expected one of'),
        ({'iou_thrs': 50.0}, r'\(0, 1\]'),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        VOCMetric(**settings)
