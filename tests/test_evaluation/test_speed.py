"""The metrics beside pycocotools and mmdet, in turns; prints the ratios (-s shows them).

python -m pytest -m slow -s tests/test_evaluation/test_speed.py
"""

import io
import json
import time
from contextlib import redirect_stdout

import mmdet.evaluation
import numpy as np
import pytest
import torch

from mmeff.evaluation.metrics import CocoMetric, VOCMetric

pytestmark = pytest.mark.slow
NUM_IMAGES, NUM_FOUND, SIZE = 5000, 100, 640
# Soft: what a busy machine must still reach; a quiet one shows far more.
LEAST = {'coco': 6, 'voc': 5}


def make_samples(num_classes, seed=0):
    """Half of the detections lie near objects, as after NMS with a low threshold."""
    rng = np.random.default_rng(seed)
    samples = []
    for image_id in range(1, NUM_IMAGES + 1):
        count = int(rng.integers(1, 15))
        start = rng.uniform(0, SIZE / 2, (count, 2))
        objects = np.concatenate(
            [start, start + rng.uniform(8, SIZE / 2, (count, 2))], 1
        )
        labels = rng.integers(0, num_classes, count)
        source, near = rng.integers(0, count, NUM_FOUND), rng.random(NUM_FOUND) < 0.5
        start = rng.uniform(0, SIZE / 2, (NUM_FOUND, 2))
        found = np.concatenate(
            [start, start + rng.uniform(8, SIZE / 2, start.shape)], 1
        )
        found[near] = (objects[source] + rng.normal(0, 8, found.shape))[near]
        given = rng.integers(0, num_classes, NUM_FOUND)
        given[near] = labels[source][near]
        instances = {
            'bboxes': torch.from_numpy(objects).float(),
            'labels': torch.from_numpy(labels),
        }
        found = {
            'bboxes': torch.from_numpy(found).float(),
            'labels': torch.from_numpy(given),
            'scores': torch.from_numpy(rng.random(NUM_FOUND)).float(),
        }
        sample = {'img_id': image_id, 'ori_shape': (SIZE, SIZE)}
        sample |= {'gt_instances': instances, 'pred_instances': found}
        sample['ignored_instances'] = {key: part[:0] for key, part in instances.items()}
        samples.append(sample)
    return samples


def write_truth(samples, num_classes, file):
    coco = {'images': [], 'annotations': []}
    coco['categories'] = [{'id': k, 'name': f'class {k}'} for k in range(num_classes)]
    for sample in samples:
        image = {'id': sample['img_id'], 'width': SIZE, 'height': SIZE}
        coco['images'].append({**image, 'file_name': ''})
        parts = (sample['gt_instances'][key].tolist() for key in ('bboxes', 'labels'))
        for (x1, y1, x2, y2), label in zip(*parts, strict=True):
            annotation = {'id': len(coco['annotations']) + 1, 'category_id': label}
            annotation |= {'image_id': sample['img_id'], 'iscrowd': 0}
            annotation |= {'bbox': [x1, y1, x2 - x1, y2 - y1]}
            annotation |= {'area': (x2 - x1) * (y2 - y1)}
            coco['annotations'].append(annotation)
    file.write_text(json.dumps(coco))


def timed(metric, samples, num_classes):
    """Seconds from data samples to numbers."""
    metric.dataset_meta = {'classes': [f'class {k}' for k in range(num_classes)]}
    with redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        metric.process({}, samples)
        numbers = metric.evaluate(len(samples))
    return time.perf_counter() - start, numbers


def compare(name, ours, theirs, samples, num_classes):
    """Turns: ours, theirs, ours; the mean of ours counts."""
    first, numbers = timed(ours, samples, num_classes)
    reference, expected = timed(theirs, samples, num_classes)
    second, _ = timed(ours, samples, num_classes)
    ratio = 2 * reference / (first + second)
    print(
        f'\n{name}: mmeff {first:.2f} s and {second:.2f} s, mmdet {reference:.2f} s, '
        f'ratio {ratio:.1f} ({NUM_IMAGES} images, {NUM_FOUND} detections each, '
        f'{num_classes} classes)'
    )
    return ratio, numbers, expected


def test_coco(tmp_path):
    samples = make_samples(80)
    write_truth(samples, 80, tmp_path / 'truth.json')
    with redirect_stdout(io.StringIO()):
        file = str(tmp_path / 'truth.json')
        metrics = CocoMetric(file), mmdet.evaluation.CocoMetric(file)
    ratio, numbers, expected = compare('COCO', *metrics, samples, 80)
    assert numbers == expected
    assert ratio > LEAST['coco']


def test_voc():
    samples = make_samples(20)
    metrics = (
        VOCMetric(eval_mode='area'),
        mmdet.evaluation.VOCMetric(eval_mode='area'),
    )
    ratio, numbers, expected = compare('VOC', *metrics, samples, 20)
    assert numbers == pytest.approx(expected, abs=1e-3)
    assert ratio > LEAST['voc']
