"""Generated data sets and detections, and what pycocotools says of them."""

import copy
import io
from contextlib import redirect_stdout

import numpy as np
import torch
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIZE = 320  # of the images in pixels
BORDER_SIDES = (32, 96)  # sides of squares with an area between two of COCO's ranges


def make_case(seed, num_images=12, num_classes=3, num_found=30, masks=False):
    """A COCO dictionary, and detections of each image as arrays.

    There are crowds, images without objects and without detections, areas on the border
    of a range, equal scores, equal boxes, and classes without objects.

    Returns:
        (coco, results): results have img_id, bboxes (N, 4) float32 x1 y1 x2 y2, scores
        (N,) float32, labels (N,), and masks as run lengths if asked for.
    """
    rng = np.random.default_rng(seed)
    ids = rng.permutation(np.arange(num_images) * 7 + 3).tolist()
    categories = [
        {'id': 2 * k + 1, 'name': f'class {k}'} for k in range(num_classes + 1)
    ]
    coco = {'images': [], 'annotations': [], 'categories': categories}
    results = []
    for number, image_id in enumerate(ids):
        image = {
            'id': image_id,
            'width': SIZE,
            'height': SIZE,
            'file_name': f'{number}.jpg',
        }
        coco['images'].append(image)
        boxes = _objects(rng, 0 if number % 5 == 3 else int(rng.integers(1, 9)))
        labels = rng.integers(0, num_classes, len(boxes))
        for (x1, y1, x2, y2), label in zip(
            boxes.tolist(), labels.tolist(), strict=True
        ):
            annotation = {
                'id': len(coco['annotations']) + 1,
                'image_id': image_id,
                'category_id': 2 * label + 1,
                'bbox': [x1, y1, x2 - x1, y2 - y1],
                'area': (x2 - x1) * (y2 - y1),
                'iscrowd': int(rng.random() < 0.15),
            }
            if masks:
                annotation['segmentation'] = [_ellipse((x1, y1, x2, y2))]
            coco['annotations'].append(annotation)
        count = 0 if number % 6 == 4 else num_found
        results.append(
            _detections(rng, image_id, boxes, labels, num_classes, count, masks)
        )
    return coco, results


def _objects(rng, count):
    start = rng.integers(0, SIZE // 2, (count, 2))
    sides = rng.integers(4, SIZE // 2, (count, 2))
    square = rng.random(count) < 0.4
    sides[square] = rng.choice(BORDER_SIDES, (square.sum(), 1))
    return np.concatenate([start, start + sides], 1).astype(float)


def _detections(rng, image_id, objects, labels, num_classes, count, masks):
    boxes, given = _objects(rng, count), rng.integers(0, num_classes + 1, count)
    if len(objects):
        source = rng.integers(0, len(objects), count)
        near = rng.random(count) < 0.7
        moved = objects[source] + rng.integers(-6, 7, (count, 4)) * (
            rng.random((count, 1)) < 0.8
        )
        boxes[near] = moved[near]
        given = np.where(near & (rng.random(count) < 0.8), labels[source], given)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    scores = np.round(rng.random(count), 1 + image_id % 2)  # many are equal
    result = {'img_id': image_id, 'bboxes': boxes.astype(np.float32)}
    result |= {'scores': scores.astype(np.float32), 'labels': given}
    if masks:
        polygons = [_ellipse(box) for box in boxes.clip(0, SIZE)]
        result['masks'] = [
            mask_utils.merge(mask_utils.frPyObjects([polygon], SIZE, SIZE))
            for polygon in polygons
        ]
    return result


def _ellipse(box):
    x1, y1, x2, y2 = box
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    x = (x1 + x2) / 2 + np.cos(angles) * (x2 - x1) / 2
    y = (y1 + y2) / 2 + np.sin(angles) * (y2 - y1) / 2
    return np.stack([x, y], 1).ravel().tolist()


def as_samples(results):
    """Data samples of a model, for `process` of a metric."""
    samples = []
    for result in results:
        found = {
            'bboxes': torch.from_numpy(result['bboxes']),
            'scores': torch.from_numpy(result['scores']),
            'labels': torch.from_numpy(result['labels']),
        }
        if 'masks' in result:
            found['masks'] = copy.deepcopy(result['masks'])
        sample = {'img_id': result['img_id'], 'ori_shape': (SIZE, SIZE)}
        samples.append({**sample, 'pred_instances': found})
    return samples


def as_coco_results(coco, results):
    """Detections as a list of dictionaries, in COCO's form."""
    ids = [category['id'] for category in coco['categories']]
    listed = []
    for result in results:
        boxes = result['bboxes'].astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        for number, (box, score) in enumerate(
            zip(boxes.tolist(), result['scores'].tolist(), strict=True)
        ):
            entry = {'image_id': result['img_id'], 'score': score}
            entry['category_id'] = ids[result['labels'][number]]
            if 'masks' in result:
                listed.append({**entry, 'segmentation': result['masks'][number]})
            else:
                listed.append({**entry, 'bbox': box})
    return listed


def pycocotools_says(coco, listed, kind='bbox', max_dets=(1, 10, 100), by_class=True):
    """The evaluation of pycocotools; empty results are given as such."""
    with redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(coco)
        truth.createIndex()
        if listed:
            found = truth.loadRes(copy.deepcopy(listed))
        else:
            found = COCO()
            found.dataset = {**truth.dataset, 'annotations': []}
            found.createIndex()
        evaluation = COCOeval(truth, found, kind)
        evaluation.params.maxDets = list(max_dets)
        evaluation.params.useCats = int(by_class)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation
