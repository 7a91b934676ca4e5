"""COCO files that would be misread are mended in a copy; good ones stay untouched."""

import math

import pytest

from mmeff.datasets import read_folder


@pytest.fixture
def mended(coco, edit, tmp_path):
    """mended(change) changes the train file and returns (its new content, notes)."""

    def read(change):
        file = coco / 'annotations' / 'instances_train.json'
        content = edit(file)
        change(content)
        edit(file, content)
        before = file.read_bytes()
        folder = read_folder(coco, tmp_path / 'cache')
        assert file.read_bytes() == before
        assert folder.splits['train'].ann_file == tmp_path / 'cache' / 'train.json'
        return edit(folder.splits['train'].ann_file), folder

    return read


def test_annotation_id_zero_is_renumbered(mended):
    def change(content):
        content['annotations'][0]['id'] = 0

    content, _ = mended(change)
    ids = [annotation['id'] for annotation in content['annotations']]
    assert ids == list(range(1, len(ids) + 1))


def test_missing_area_and_crowd_flag_are_filled_in(mended):
    def change(content):
        for annotation in content['annotations']:
            del annotation['area'], annotation['iscrowd']

    content, folder = mended(change)
    for annotation in content['annotations']:
        assert annotation['area'] == annotation['bbox'][2] * annotation['bbox'][3]
        assert annotation['iscrowd'] == 0
    assert folder.notes[0].endswith('area or iscrowd filled in')


def test_missing_image_size_is_read_from_the_image(mended):
    def change(content):
        for image in content['images']:
            del image['width'], image['height']

    content, _ = mended(change)
    sizes = {(image['width'], image['height']) for image in content['images']}
    assert sizes == {(128, 96)}


def test_boxes_that_are_no_numbers_are_dropped(mended):
    def change(content):
        content['annotations'][0]['bbox'][2] = math.nan
        content['annotations'][1]['bbox'] = [1, 2, 3]
        content['annotations'][2]['image_id'] = 999

    content, folder = mended(change)
    assert content['annotations'][0]['id'] == 4
    assert 'boxes that are not four numbers left out: 2' in folder.notes[0]
    assert 'boxes of unknown images or classes left out: 1' in folder.notes[0]


def test_other_order_of_classes_in_one_split_is_made_the_same(coco, edit, tmp_path):
    file = coco / 'annotations' / 'instances_val.json'
    content = edit(file)
    names = {category['id']: category['name'] for category in content['categories']}
    labels = [names[a['category_id']] for a in content['annotations']]
    edit(file, {**content, 'categories': content['categories'][::-1]})
    folder = read_folder(coco, tmp_path / 'cache')
    assert folder.classes == ('circle', 'rectangle', 'triangle')
    assert folder.splits['train'].ann_file.parent == coco / 'annotations'
    written = edit(folder.splits['val'].ann_file)
    assert [c['name'] for c in written['categories']] == list(folder.classes)
    names = {category['id']: category['name'] for category in written['categories']}
    assert [names[a['category_id']] for a in written['annotations']] == labels


def test_boxes_under_a_pixel_stay_and_are_counted(coco, edit, tmp_path):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    content['annotations'][0]['bbox'][2] = 0
    edit(file, content)
    folder = read_folder(coco, tmp_path / 'cache')
    assert folder.splits['train'].ann_file == file
    assert folder.notes == ('train: boxes under 1 px, which mmdet leaves out: 1',)
