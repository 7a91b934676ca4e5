"""mmeff.CocoDataset gives what mmdet's gives, whatever the file and the arguments."""

import copy
import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmdet.registry import DATASETS

from mmeff.datasets.coco_dataset import CocoDataset
from mmeff.errors import UserError

LARGE_COCO = Path(__file__).parent / 'large_coco.py'
CLASSES = ('cat', 'dog', 'bird')


@pytest.fixture(scope='module')
def odd() -> dict:
    """A COCO file with all that mmdet treats in a way of its own."""
    rng = np.random.default_rng(0)
    images = [
        {'id': n, 'file_name': f'{n}.jpg', 'width': 40 + n, 'height': 90 - n, 'x': [n]}
        for n in rng.permutation(40).tolist()
    ]
    annotations = []
    for number in range(200):
        x, y, width, height = rng.uniform(-10, 60, 4).round(2).tolist()
        annotations.append(
            {
                'id': number,
                'image_id': int(rng.integers(0, 30)),
                'category_id': int(rng.integers(1, 6)),
                'bbox': [x, y, width, height],
                'area': width * height,
                'iscrowd': int(number % 7 == 0),
                'segmentation': [[x, y, x + 1, y, 5, 5e-3]] if number % 5 else [],
            }
        )
    for number, change in enumerate(
        [
            {'ignore': 1},
            {'ignore': 0},
            {'bbox': [1, 2, 30, 40], 'area': 1200},
            {'bbox': [1, 2, 0.5, 40]},
            {'area': 0},
            {'bbox': [500, 500, 20, 20]},
            {'iscrowd': 1, 'segmentation': {'size': [90, 40], 'counts': 'PP5'}},
            {'segmentation': None},
            {'category_id': 99},
            {'image_id': 1000},
        ]
    ):
        annotations[number] |= change
    del annotations[12]['segmentation'], annotations[13]['iscrowd']
    names = ('dog', 'fish', 'cat', 'bird', 'dog \u72ac "\\')
    categories = [{'id': n, 'name': name} for n, name in enumerate(names, 1)]
    # in the order of COCO's own files, where the categories come last
    return {
        'info': 1,
        'images': images,
        'annotations': annotations,
        'categories': categories,
    }


@pytest.fixture
def both(tmp_path):
    """both(content, **arguments) -> the two data sets of a file."""

    def build(content, **arguments):
        file = tmp_path / 'coco.json'
        text = content if isinstance(content, str) else json.dumps(content)
        file.write_text(text)
        arguments = {
            'ann_file': str(file),
            'data_prefix': {'img': 'images/', 'seg': 'maps/'},
            'metainfo': {'classes': CLASSES},
            'pipeline': [],
            **arguments,
        }
        return [
            kind(**copy.deepcopy(arguments)) for kind in (CocoDataset, MMDetCocoDataset)
        ]

    return build


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    assert ours.metainfo == theirs.metainfo
    assert ours.cat_ids == theirs.cat_ids
    assert ours.cat2label == theirs.cat2label
    for number in [*range(len(ours)), -1]:
        # by repr, in which 1 and 1.0 differ and NaN is itself
        mine, other = ours.get_data_info(number), theirs.get_data_info(number)
        assert repr(mine) == repr(other)
        assert ours.get_cat_ids(number) == theirs.get_cat_ids(number)


@pytest.mark.parametrize(
    'arguments',
    [
        {},
        {'filter_cfg': {'filter_empty_gt': True, 'min_size': 50}},
        {'filter_cfg': {'min_size': 50}},
        {'filter_cfg': {'filter_empty_gt': True}, 'test_mode': True},
        {'metainfo': {'classes': ('bird',)}, 'filter_cfg': {'filter_empty_gt': True}},
        {'metainfo': {'classes': ()}},
        {'indices': 7},
        {'indices': -7},
        {'indices': [3, 1, -1, 3]},
        {'indices': 5, 'serialize_data': False},
        {'serialize_data': False},
        {'lazy_init': True},
        {'return_classes': True, 'caption_prompt': {'cat': {'suffix': 'x'}}},
        {'data_prefix': {'img': ''}, 'data_root': '/data'},
    ],
    ids=str,
)
def test_the_same_as_mmdets(odd, both, arguments):
    ours, theirs = both(odd, **arguments)
    assert_same(ours, theirs)
    assert sum(len(info['instances']) for info in ours) > 0


def test_slicing_from_the_end_keeps_all(odd, both):
    ours, theirs = both(odd, indices=-40)
    assert_same(ours, theirs)
    assert len(ours) == 40


def test_packed_data_are_those_of_mmdet(odd, both):
    ours, theirs = both(odd)
    assert ours.data_bytes.tobytes() == theirs.data_bytes.tobytes()
    assert ours.data_address.tolist() == theirs.data_address.tolist()
    assert_same(ours.get_subset([3, 5]), theirs.get_subset([3, 5]))
    assert_same(pickle.loads(pickle.dumps(ours)), theirs)
    assert repr(ours.load_data_list()) == repr(theirs.load_data_list())


@pytest.mark.parametrize('value', [math.nan, math.inf, 10**30, -0.0, 5e-324])
def test_numbers_that_only_pythons_json_knows(odd, both, value):
    content = copy.deepcopy(odd)
    content['annotations'][20]['segmentation'] = [[value, 1, 2, 3, 4, 5]]
    assert_same(*both(content))


def test_ids_that_are_no_whole_numbers(odd, both):
    content = copy.deepcopy(odd)
    for image in content['images']:
        image['id'] = f'image {image["id"]}'
    for annotation in content['annotations']:
        annotation['image_id'] = f'image {annotation["image_id"]}'
    assert_same(*both(content, filter_cfg={'filter_empty_gt': True}))


def test_an_image_entry_that_comes_again_counts(odd, both):
    content = copy.deepcopy(odd)
    content['images'].append({**content['images'][3], 'file_name': 'again.jpg'})
    assert_same(*both(content))


def test_file_in_other_order_and_with_white_space(odd, both):
    content = dict(sorted(odd.items()))
    assert_same(*both(json.dumps(content, indent=3, ensure_ascii=False)))


def test_built_from_a_config_of_mmdet(odd, tmp_path):
    (tmp_path / 'coco.json').write_text(json.dumps(odd))
    cfg = {'type': 'mmeff.CocoDataset', 'ann_file': str(tmp_path / 'coco.json')}
    cfg |= {'data_prefix': {'img': ''}, 'pipeline': []}
    dataset = DATASETS.build(cfg)
    assert type(dataset) is CocoDataset
    assert len(dataset) == 40


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('', 'coco.json'),
        ('[1, 2]', 'coco.json'),
        ('{"images": []', 'coco.json'),
        ('{"annotations": []}', 'coco.json: cannot be read as COCO'),
        ('{"images": [{"id": 1}], "categories": []}', "KeyError: 'file_name'"),
    ],
)
def test_unusable_file(tmp_path, text, says):
    file = tmp_path / 'coco.json'
    file.write_text(text)
    with pytest.raises(UserError) as error:
        CocoDataset(ann_file=str(file), data_prefix={'img': ''}, pipeline=[])
    assert says in str(error.value)


def test_annotation_ids_used_twice(odd, tmp_path):
    content = copy.deepcopy(odd)
    content['annotations'][30]['id'] = content['annotations'][31]['id']
    (tmp_path / 'coco.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match='annotation ids are used twice'):
        CocoDataset(
            ann_file=str(tmp_path / 'coco.json'), data_prefix={'img': ''}, pipeline=[]
        )


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nothing\.json'):
        CocoDataset(
            ann_file=str(tmp_path / 'nothing.json'),
            data_prefix={'img': ''},
            pipeline=[],
        )


def test_data_prefix_without_images(tmp_path):
    with pytest.raises(UserError, match=r"expected dict\(img='folder of images/'\)"):
        CocoDataset(ann_file=str(tmp_path / 'coco.json'), pipeline=[])


def test_coco128(real_data):
    file = next((real_data / 'coco128' / 'annotations').glob('instances_train*.json'))
    arguments = {
        'ann_file': str(file),
        'data_prefix': {'img': 'train/'},
        'filter_cfg': {'filter_empty_gt': True, 'min_size': 32},
        'pipeline': [],
    }
    assert_same(CocoDataset(**arguments), MMDetCocoDataset(**arguments))


@pytest.mark.slow
def test_a_file_of_the_size_of_coco_in_10_seconds_and_1_gb(tmp_path):
    """CPU seconds, and memory beyond that of the imports; see large_coco.py."""
    file = tmp_path / 'large.json'

    def call(*arguments):
        command = [sys.executable, LARGE_COCO, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True)

    call('write', file)
    measured = json.loads(call('read', file, 'mmeff.CocoDataset').stdout)
    assert measured['images'] > 117_000
    assert measured['cpu_seconds'] <= 10
    assert measured['added_mb'] <= 1000
