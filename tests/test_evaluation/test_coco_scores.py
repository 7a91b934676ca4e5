"""COCO's numbers are those of pycocotools, bit for bit."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from mmeff.evaluation import pairs
from mmeff.evaluation.coco import evaluate
from mmeff.evaluation.from_coco import (
    as_array,
    found_from_coco,
    numbered,
    truth_from_coco,
)
from mmeff.evaluation.masks import mask_areas, mask_iou

from evaluation_cases import (
    SIZE,
    as_coco_results,
    make_case,
    pycocotools_says,
)


def ours(coco, listed, kind='bbox', max_dets=(1, 10, 100), by_class=True):
    images = numbered([image['id'] for image in coco['images']])
    labels = numbered([category['id'] for category in coco['categories']])
    if kind == 'bbox':
        truth = truth_from_coco(coco['annotations'], images, labels)
        found = found_from_coco(listed, images, labels)
        overlap = pairs.box_iou
    else:
        api = COCO()
        api.dataset = coco
        api.createIndex()
        truth = truth_from_coco(coco['annotations'], images, labels, api.annToRLE)
        masks = as_array([entry['segmentation'] for entry in listed])
        found = found_from_coco(
            [{**entry, 'bbox': [0, 0, 0, 0]} for entry in listed], images, labels
        )
        found = type(found)(
            **{**vars(found), 'masks': masks, 'area': mask_areas(masks)}
        )
        overlap = mask_iou
    return evaluate(
        truth, found, len(labels), max_dets=max_dets, overlap=overlap, by_class=by_class
    )


def assert_same(coco, listed, **settings):
    expected = pycocotools_says(coco, listed, **settings)
    scores = ours(coco, listed, **settings)
    np.testing.assert_array_equal(scores.precision, expected.eval['precision'])
    np.testing.assert_array_equal(scores.recall, expected.eval['recall'])
    np.testing.assert_array_equal(scores.stats(), expected.stats)
    return scores


@pytest.mark.parametrize('seed', range(12))
def test_generated_boxes(seed):
    coco, results = make_case(seed)
    scores = assert_same(coco, as_coco_results(coco, results))
    assert 0.05 < scores.ap() < 0.95


def test_cases_hold_what_is_rare():
    coco, results = make_case(0)
    annotations = coco['annotations']
    areas = {annotation['area'] for annotation in annotations}
    assert {32**2, 96**2} <= areas
    assert any(annotation['iscrowd'] for annotation in annotations)
    used = {annotation['image_id'] for annotation in annotations}
    assert len(used) < len(coco['images'])
    assert any(len(result['scores']) == 0 for result in results)
    scores = np.concatenate([result['scores'] for result in results])
    assert len(set(scores.tolist())) < len(scores) / 2


@pytest.mark.parametrize('seed', range(3))
def test_more_detections_than_count(seed):
    coco, results = make_case(seed, num_images=4, num_classes=1, num_found=250)
    assert_same(coco, as_coco_results(coco, results))
    assert_same(coco, as_coco_results(coco, results), max_dets=(100, 150, 200))


@pytest.mark.parametrize('seed', range(3))
def test_proposals(seed):
    coco, results = make_case(seed, num_found=60)
    limits = (10, 30, 100)
    listed = as_coco_results(coco, results)
    assert_same(coco, listed, max_dets=limits, by_class=False)


@pytest.mark.parametrize('seed', range(3))
def test_generated_masks(seed):
    coco, results = make_case(seed, masks=True)
    assert_same(coco, as_coco_results(coco, results), kind='segm')


def test_no_detections():
    coco, _ = make_case(0)
    scores = assert_same(coco, [])
    assert scores.ap() == 0


def test_no_objects():
    coco, results = make_case(0)
    coco['annotations'] = []
    assert assert_same(coco, as_coco_results(coco, results)).ap() == -1


def test_crowds_only():
    coco, results = make_case(1)
    for annotation in coco['annotations']:
        annotation['iscrowd'] = 1
    assert_same(coco, as_coco_results(coco, results))


def test_equal_overlaps_and_scores():
    """Two objects in the same place, and the same detection three times."""
    box = {'image_id': 1, 'category_id': 1, 'bbox': [10, 10, 40, 40]}
    objects = [{**box, 'id': i, 'area': 1600, 'iscrowd': 0} for i in (1, 2)]
    objects[1]['area'] = 800  # small, where the first is of medium size
    coco = {
        'images': [{'id': 1, 'width': SIZE, 'height': SIZE}],
        'annotations': objects,
        'categories': [{'id': 1, 'name': 'a'}],
    }
    assert_same(coco, [{**box, 'score': 0.5}] * 3)


def test_few_pairs_at_a_time_give_the_same(monkeypatch):
    monkeypatch.setattr(pairs, 'PAIRS_AT_ONCE', 7)
    coco, results = make_case(2)
    assert_same(coco, as_coco_results(coco, results))
    coco, results = make_case(2, masks=True)
    assert_same(coco, as_coco_results(coco, results), kind='segm')


def test_object_with_id_0_can_be_found():
    """pycocotools takes whoever finds it for a false positive."""
    coco, results = make_case(0)
    listed = as_coco_results(coco, results)
    expected = ours(coco, listed).stats()
    for annotation in coco['annotations']:
        annotation['id'] -= 1
    np.testing.assert_array_equal(ours(coco, listed).stats(), expected)


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_real_data(real_data, kind):
    """coco128, with its own objects moved a little as detections."""
    file = real_data / 'coco128' / 'annotations' / 'instances_val2017.json'
    coco = json.loads(file.read_bytes())
    api = COCO()
    api.dataset = coco
    api.createIndex()
    rng, listed = np.random.default_rng(0), []
    for annotation in coco['annotations']:
        for copy in range(3):
            entry = {key: annotation[key] for key in ('image_id', 'category_id')}
            entry['score'] = float(np.round(rng.random(), 2))
            shift = rng.integers(-4, 5, 2) * copy
            if kind == 'bbox':
                x, y, width, height = annotation['bbox']
                entry['bbox'] = [x + shift[0], y + shift[1], width, height]
            else:
                moved = annotation
                if isinstance(annotation['segmentation'], list):
                    parts = annotation['segmentation']
                    parts = [(np.reshape(p, (-1, 2)) + shift).ravel() for p in parts]
                    moved = {**annotation, 'segmentation': [p.tolist() for p in parts]}
                entry['segmentation'] = api.annToRLE(moved)
            listed.append(entry)
    assert 0.1 < assert_same(coco, listed, kind=kind).ap() < 0.9
