"""Generated shapes: the same bytes every time, and annotations that fit the pixels."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from mmeff.datasets import make_shapes
from mmeff.datasets.drawing import CLASSES, MAX_OVERLAP, draw_image, overlap
from mmeff.datasets.shapes import STAMP
from mmeff.errors import UserError


def contents(root: Path) -> dict[str, bytes]:
    files = (file for file in root.rglob('*') if file.is_file())
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def test_same_parameters_give_the_same_bytes(shapes, tmp_path):
    again = make_shapes(tmp_path / 'again', 10, 5, (96, 128), seed=3)
    assert contents(again) == contents(shapes)


def test_image_depends_on_seed_split_and_index_alone(shapes, tmp_path):
    larger = make_shapes(tmp_path / 'larger', 12, 6, (96, 128), seed=3)
    for name in ('train/train_000004.jpg', 'VOC2007/Annotations/val_000002.xml'):
        assert (larger / name).read_bytes() == (shapes / name).read_bytes()
    images = [
        draw_image(split, index, (96, 128), seed)[0]
        for split, index, seed in (
            ('train', 0, 3),
            ('train', 1, 3),
            ('val', 0, 3),
            ('train', 0, 4),
        )
    ]
    for number, image in enumerate(images):
        assert not any(np.array_equal(image, other) for other in images[:number])


def test_masks_agree_with_boxes_within_a_pixel(shapes):
    coco = COCO(str(shapes / 'annotations' / 'instances_train.json'))
    assert [cat['name'] for cat in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation)
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation['bbox']
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.array(found) - [x, y, x + width, y + height]).max() <= 1
        assert mask.sum() == pytest.approx(annotation['area'], rel=0.1)


def test_pixels_of_an_object_have_its_colour():
    image, shapes = draw_image('train', 5, (128, 128), 0)
    x1, y1, x2, y2 = shapes[-1].box  # the last one is hidden by none
    centre_x, centre_y = shapes[-1].polygon.mean(axis=0).astype(int)
    inside = image[centre_y - 2 : centre_y + 3, centre_x - 2 : centre_x + 3]
    border = np.concatenate([image[y1 - 1, x1:x2], image[y2, x1:x2]])
    colour = inside.reshape(-1, 3).mean(axis=0)
    assert inside.reshape(-1, 3).std(axis=0).max() < 12  # only the noise of 6 levels
    assert np.abs(colour - border.mean(axis=0)).sum() > 60


def test_objects_are_inside_not_tiny_and_mostly_visible():
    for index in range(40):
        _, shapes = draw_image('val', index, (80, 120), 1)
        assert 1 <= len(shapes) <= 5
        for number, shape in enumerate(shapes):
            x1, y1, x2, y2 = shape.box
            assert x1 >= 1
            assert y1 >= 1
            assert x2 <= 119
            assert y2 <= 79
            assert 0.1 * 80 <= max(x2 - x1, y2 - y1) <= 0.56 * 80
            for other in shapes[:number]:
                assert overlap(shape.box, other.box) <= MAX_OVERLAP


def test_voc_boxes_less_one_are_the_coco_boxes(shapes):
    for split in ('train', 'val'):
        coco = json.loads((shapes / f'annotations/instances_{split}.json').read_text())
        names = {category['id']: category['name'] for category in coco['categories']}
        listed = (shapes / f'VOC2007/ImageSets/Main/{split}.txt').read_text().split()
        assert listed == [Path(image['file_name']).stem for image in coco['images']]
        for image in coco['images']:
            stem = Path(image['file_name']).stem
            root = ET.parse(shapes / 'VOC2007/Annotations' / f'{stem}.xml').getroot()
            found = [
                (item.findtext('name'), *(int(v.text) - 1 for v in item.find('bndbox')))
                for item in root.findall('object')
            ]
            expected = [
                (names[a['category_id']], x, y, x + width, y + height)
                for a in coco['annotations']
                for x, y, width, height in [a['bbox']]
                if a['image_id'] == image['id']
            ]
            assert found == expected


def test_images_are_stored_once(shapes):
    image = shapes / 'train' / 'train_000000.jpg'
    assert image.samefile(shapes / 'VOC2007' / 'JPEGImages' / image.name)


def test_second_call_writes_nothing(shapes):
    before = {file: file.stat().st_mtime_ns for file in shapes.rglob('*')}
    assert make_shapes(shapes, 10, 5, (96, 128), seed=3) == shapes
    assert {file: file.stat().st_mtime_ns for file in shapes.rglob('*')} == before


def test_empty_folder_is_filled(tmp_path):
    root = make_shapes(tmp_path, 1, 1, (32, 32))
    assert (root / STAMP).is_file()


def test_other_parameters_are_refused(shapes):
    with pytest.raises(UserError, match=r"holds shapes made with .*'seed': 3"):
        make_shapes(shapes, 10, 5, (96, 128), seed=4)


def test_other_content_is_refused_and_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('precious')
    with pytest.raises(UserError, match='holds something else'):
        make_shapes(tmp_path)
    assert contents(tmp_path) == {'thesis.txt': b'precious'}


def test_interrupted_run_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('disk full')

    monkeypatch.setattr('mmeff.datasets.shapes.write_json', fail)
    with pytest.raises(OSError, match='disk full'):
        make_shapes(tmp_path / 'shapes', 1, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'wrong', [{'num_train': 0}, {'num_val': 0}, {'image_size': (16, 64)}, {'seed': -1}]
)
def test_parameters_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(UserError, match='expected at least 1 image'):
        make_shapes(tmp_path / 'shapes', **wrong)
