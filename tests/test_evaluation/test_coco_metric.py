"""mmeff.CocoMetric returns what mmdet's returns."""

import json

import mmdet.evaluation
import numpy as np
import pytest
import torch
from mmengine.registry import METRICS

from mmeff.errors import UserError
from mmeff.evaluation.metrics import CocoMetric

from evaluation_cases import as_samples, make_case, pycocotools_says


@pytest.fixture
def case(tmp_path):
    """case(**how) -> (COCO dictionary, its file, results)."""

    def make(**how):
        coco, results = make_case(5, **how)
        file = tmp_path / 'truth.json'
        file.write_text(json.dumps(coco))
        return coco, str(file), results

    return make


def run(metric, coco, samples):
    metric.dataset_meta = {'classes': [c['name'] for c in coco['categories']]}
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def assert_equal_metrics(found, expected):
    assert list(found) == list(expected)
    np.testing.assert_array_equal(list(found.values()), list(expected.values()))
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize(
    'settings',
    [
        {},
        {'classwise': True},
        {'metric': ['bbox', 'proposal']},
        {'metric': ['bbox', 'segm'], 'classwise': True},
        {'metric_items': ['mAP_75', 'AR@300'], 'prefix': 'mine'},
        {'proposal_nums': (1, 10, 100), 'metric': 'proposal'},
        {'proposal_nums': (5, 10, 20), 'iou_thrs': [0.3, 0.5, 0.75]},
    ],
    ids=str,
)
def test_same_names_and_numbers_as_mmdet(case, settings):
    coco, file, results = case(masks='segm' in settings.get('metric', ''))
    if 'iou_thrs' in settings:  # mmdet's finds single thresholds in arrays only
        settings = {**settings, 'iou_thrs': np.array(settings['iou_thrs'])}
    found = run(CocoMetric(file, **settings), coco, as_samples(results))
    mmdets = mmdet.evaluation.CocoMetric(file, **settings)
    assert_equal_metrics(found, run(mmdets, coco, as_samples(results)))


def test_ground_truth_of_the_samples(case):
    coco, _, results = case()
    samples = as_samples(results)
    ids = [category['id'] for category in coco['categories']]
    for sample in samples:
        sample['instances'] = []
        for annotation in coco['annotations']:
            if annotation['image_id'] == sample['img_id']:
                x, y, width, height = annotation['bbox']
                instance = {'bbox': [x, y, x + width, y + height]}
                instance['bbox_label'] = ids.index(annotation['category_id'])
                instance['ignore_flag'] = annotation['iscrowd']
                sample['instances'].append(instance)
    found = run(CocoMetric(), coco, samples)
    assert_equal_metrics(found, run(mmdet.evaluation.CocoMetric(), coco, samples))
    assert found['coco/bbox_mAP'] > 0


def test_proposal_fast(case):
    """mmdet's can only do it where all images have as many objects and proposals."""
    coco, file, results = case()
    counts = {image['id']: [] for image in coco['images']}
    for annotation in coco['annotations']:
        annotation['iscrowd'] = 0
        counts[annotation['image_id']].append(annotation)
    coco['annotations'] = [a for anns in counts.values() for a in anns[:2] if anns[1:]]
    coco['images'] = [i for i in coco['images'] if counts[i['id']][1:]]
    kept = [image['id'] for image in coco['images']]
    results = [r for r in results if r['img_id'] in kept and len(r['scores'])]
    coco['images'] = [
        i for i in coco['images'] if i['id'] in {r['img_id'] for r in results}
    ]
    coco['annotations'] = [
        a
        for a in coco['annotations']
        if a['image_id'] in {r['img_id'] for r in results}
    ]
    with open(file, 'w') as stream:
        json.dump(coco, stream)
    settings = {'metric': 'proposal_fast', 'proposal_nums': (3, 10, 30)}
    expected = run(
        mmdet.evaluation.CocoMetric(file, **settings), coco, as_samples(results)
    )
    found = run(CocoMetric(file, **settings), coco, as_samples(results))
    assert found == pytest.approx(expected, abs=1e-6)
    assert 0 < found['coco/AR@3'] < found['coco/AR@30']


def test_results_of_images_in_another_order(case):
    coco, file, results = case()
    found = run(CocoMetric(file), coco, as_samples(results))
    assert run(CocoMetric(file), coco, as_samples(results[::-1])) == found


def test_table_of_classes_has_the_right_names(case):
    """In mmdet's the names are those of other classes where ids do not ascend."""
    coco, file, results = case()
    expected = run(CocoMetric(file, classwise=True), coco, as_samples(results))
    coco['categories'] = coco['categories'][::-1]
    with open(file, 'w') as stream:
        json.dump(coco, stream)
    for result in results:
        result['labels'] = len(coco['categories']) - 1 - result['labels']
    found = run(CocoMetric(file, classwise=True), coco, as_samples(results))
    np.testing.assert_equal(found, expected)


def test_no_detections_are_an_ap_of_zero(case):
    coco, file, results = case()
    for result in results:
        for key in ('bboxes', 'scores', 'labels'):
            result[key] = result[key][:0]
    found = run(CocoMetric(file), coco, as_samples(results))
    assert found['coco/bbox_mAP'] == 0
    assert found['coco/bbox_mAP_50'] == 0


def test_is_silent_and_leaves_no_files(case, capfd, tmp_path, monkeypatch):
    coco, file, results = case(masks=True)
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    run(CocoMetric(file, metric=['bbox', 'segm']), coco, as_samples(results))
    assert 'index' not in capfd.readouterr().out
    assert sorted(tmp_path.iterdir()) == before


def test_file_for_a_test_server(case, tmp_path):
    coco, file, results = case()
    metric = CocoMetric(file, format_only=True, outfile_prefix=str(tmp_path / 'mine'))
    assert run(metric, coco, as_samples(results)) == {}
    listed = json.loads((tmp_path / 'mine.bbox.json').read_text())
    expected = run(CocoMetric(file), coco, as_samples(results))
    stats = pycocotools_says(coco, listed, max_dets=(100, 300, 1000)).stats
    assert round(stats[0], 3) == expected['coco/bbox_mAP']


def test_second_epoch_gives_the_same(case):
    coco, file, results = case()
    metric = CocoMetric(file)
    first = run(metric, coco, as_samples(results))
    assert run(metric, coco, as_samples(results)) == first


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'proposal_nums': (100,)}, 'three limits'),
        ({'metric_items': ['AP']}, "'AP'"),
        ({'metric': 'keypoints'}, 'keypoints'),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises((KeyError, ValueError), match=message):
        CocoMetric(**settings)


def test_results_that_do_not_fit(case):
    coco, file, results = case()
    with pytest.raises(UserError, match='finds no masks'):
        run(CocoMetric(file, metric='segm'), coco, as_samples(results))
    results[0]['labels'][0] = 9
    with pytest.raises(UserError, match='label 9'):
        run(CocoMetric(file), coco, as_samples(results))
    results[0]['img_id'] = 10**6
    with pytest.raises(UserError, match='example id 1000000'):
        run(CocoMetric(file), coco, as_samples(results))


def test_annotations_without_masks(case):
    coco, file, _ = case()
    _, _, results = case(masks=True)
    with open(file, 'w') as stream:
        json.dump(coco, stream)
    with pytest.raises(UserError, match='annotations have no mask'):
        run(CocoMetric(file, metric='segm'), coco, as_samples(results))


def test_can_be_named_in_a_config():
    assert type(METRICS.build(dict(type='mmeff.CocoMetric'))) is CocoMetric


def test_half_precision_boxes(case):
    coco, file, results = case()
    samples = as_samples(results)
    for sample in samples:
        found = sample['pred_instances']
        found['bboxes'] = found['bboxes'].to(torch.float16)
    expected = run(mmdet.evaluation.CocoMetric(file), coco, samples)
    assert run(CocoMetric(file), coco, samples) == expected
