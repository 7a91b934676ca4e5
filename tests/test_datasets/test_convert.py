"""Converted data read as the same data, and what a layout cannot hold is said."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest

from mmeff.apis.convert_data import convert_data
from mmeff.datasets.layouts import read_raw
from mmeff.datasets.writers import _yolo_line
from mmeff.datasets.yolo import _read_line, _to_pixels
from mmeff.errors import UserError

LAYOUTS = ('coco', 'voc', 'yolo')


def objects_of(root: Path, masks: bool = False) -> dict:
    """Class, box, crowd flag (and mask) of all objects, by split and image name."""
    found = {}
    for name, split in read_raw(root).splits.items():
        names = {c['id']: c['name'] for c in split.coco['categories']}
        images = {i['id']: Path(i['file_name']).stem for i in split.coco['images']}
        found |= {(name, stem): [] for stem in images.values()}
        for a in split.coco['annotations']:
            entry = [names[a['category_id']], *a['bbox'], a['iscrowd']]
            if masks:
                entry.append(a['segmentation'])
            found[name, images[a['image_id']]].append(entry)
    return found


@pytest.mark.parametrize('middle', LAYOUTS)
@pytest.mark.parametrize('start', LAYOUTS)
def test_there_and_back_is_exact(start, middle, request, tmp_path):
    root = request.getfixturevalue(start)
    notes = convert_data(root, tmp_path / 'middle', middle)
    convert_data(tmp_path / 'middle', tmp_path / 'back', start)
    assert objects_of(tmp_path / 'middle') == objects_of(root)
    assert objects_of(tmp_path / 'back') == objects_of(root)
    lost = [line for line in notes if line.startswith('note: ')]
    assert all('masks' in line for line in lost)


def test_polygons_come_back_from_yolo(coco, tmp_path, edit):
    """Those whose bounds are the box; coordinates of up to three decimals."""
    for split in ('train', 'val'):
        file = coco / 'annotations' / f'instances_{split}.json'
        content = edit(file)
        for annotation in content['annotations']:
            polygon = annotation['segmentation'][0]
            x, y = polygon[0::2], polygon[1::2]
            size = [round(max(v) - min(v), 3) for v in (x, y)]
            annotation['bbox'] = [min(x), min(y), *size]
        edit(file, content)
    convert_data(coco, tmp_path / 'yolo', 'yolo')
    assert objects_of(tmp_path / 'yolo', masks=True) == objects_of(coco, masks=True)


@pytest.mark.parametrize('size', [(128, 96), (1023, 767), (333, 7777), (1, 1)])
def test_boxes_of_three_decimals_come_back_from_yolo(size):
    """Line by line, for images of any size."""
    width, height = size
    for number in range(300):
        x1, y1 = round(number / 301 * width * 0.7, 3), round(height / (number + 3), 3)
        w, h = round(width * 0.123457, 3), round(height / 3.3, 3)
        annotation = {'bbox': [x1, y1, w, h], 'iscrowd': 0}
        line = _yolo_line(0, annotation, {'width': width, 'height': height}, Counter())
        label, values = _read_line(line, 1)
        box = _to_pixels('a', values, size, '').box
        assert label == 0
        assert box == pytest.approx((x1, y1, x1 + w, y1 + h), abs=1e-9)


def test_voc_rounds_and_says_so(coco, edit, tmp_path):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    content['annotations'] = content['annotations'][:2]
    content['annotations'][0] |= {'bbox': [10.4, 10.6, 20.2, 20.2], 'image_id': 1}
    content['annotations'][1] |= {'bbox': [50.1, 50.1, 0.2, 0.3], 'image_id': 1}
    edit(file, content)
    notes = convert_data(coco, tmp_path / 'voc', 'voc')
    assert 'note: boxes rounded to whole pixels: 2' in notes
    xml = (tmp_path / 'voc' / 'Annotations' / 'train_000000.xml').read_text()
    assert '<xmin>11</xmin>' in xml
    assert '<ymax>32</ymax>' in xml
    boxes = [
        entry[1:5] for entry in objects_of(tmp_path / 'voc')['train', 'train_000000']
    ]
    assert boxes == [[10, 11, 21, 20], [50, 50, 1, 1]]


def test_ignored_regions(coco, edit, tmp_path):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    content['annotations'][0]['iscrowd'] = 1
    edit(file, content)
    convert_data(coco, tmp_path / 'voc', 'voc')
    assert objects_of(tmp_path / 'voc') == objects_of(coco)
    notes = convert_data(coco, tmp_path / 'yolo', 'yolo')
    assert 'note: ignored regions left out: 1' in notes


def test_boxes_over_the_border_and_masks_of_parts(coco, edit, tmp_path):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    first, second, third = content['annotations'][:3]
    first |= {'bbox': [120, 80, 50, 50]}
    second |= {'bbox': [500, 80, 50, 50]}
    third['segmentation'] *= 2
    edit(file, content)
    notes = convert_data(coco, tmp_path / 'yolo', 'yolo')
    assert 'note: boxes cut off at the border: 2' in notes
    assert 'note: boxes outside of the image left out: 1' in notes
    assert any('not one polygon' in note for note in notes)
    found = objects_of(tmp_path / 'yolo')['train', 'train_000000']
    assert found[0][1:5] == [120, 80, 8, 16]


@pytest.mark.parametrize('to', LAYOUTS)
def test_names_that_lists_cannot_hold(to, coco, edit, tmp_path):
    """Folders, white space, dots, and two images of one name."""
    for split in ('train', 'val'):
        file = coco / 'annotations' / f'instances_{split}.json'
        content = edit(file)
        for image, name in zip(
            content['images'],
            ['a/b c.jpg', 'a b c.jpg', '\u732b\n.jpg', '.hidden.jpg', 'x/.y.jpg'],
            strict=False,
        ):
            new = coco / split / name
            new.parent.mkdir(exist_ok=True)
            (coco / split / image['file_name']).rename(new)
            image['file_name'] = name
        edit(file, content)
    before = [sorted(entries) for entries in objects_of(coco).values()]
    convert_data(coco, tmp_path / 'new', to)
    after = [sorted(entries) for entries in objects_of(tmp_path / 'new').values()]
    assert sorted(after) == sorted(before)
    assert sum(map(len, after)) > 20


def test_class_that_xml_cannot_hold(coco, edit, tmp_path):
    for split in ('train', 'val'):
        file = coco / 'annotations' / f'instances_{split}.json'
        content = edit(file)
        content['categories'][0]['name'] = 'circle\x07'
        edit(file, content)
    with pytest.raises(UserError, match='cannot hold this name'):
        convert_data(coco, tmp_path / 'voc', 'voc')
    assert not list(tmp_path.glob('*voc*'))
    convert_data(coco, tmp_path / 'yolo', 'yolo')
    assert objects_of(tmp_path / 'yolo') == objects_of(coco)


def test_refusals(coco, tmp_path):
    before = sorted(coco.rglob('*'))
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'mine').write_text('mine')
    with pytest.raises(UserError, match='nothing is overwritten'):
        convert_data(coco, tmp_path / 'full', 'voc')
    with pytest.raises(UserError, match='not to be changed'):
        convert_data(coco, coco / 'voc', 'voc')
    with pytest.raises(UserError, match='expected one of coco, voc, yolo'):
        convert_data(coco, tmp_path / 'new', 'csv')
    with pytest.raises(UserError, match='does not exist'):
        convert_data(tmp_path / 'nowhere', tmp_path / 'new', 'coco')
    assert sorted(coco.rglob('*')) == before
    assert not (tmp_path / 'new').exists()


def test_images_are_linked(coco, tmp_path):
    convert_data(coco, tmp_path / 'yolo', 'yolo')
    image = tmp_path / 'yolo' / 'images' / 'train' / 'train_000000.jpg'
    assert image.samefile(coco / 'train' / 'train_000000.jpg')


def test_real_data(real_data, tmp_path):
    for name in ('bccd', 'coco128'):
        for to in ('coco', 'yolo'):
            convert_data(real_data / name, tmp_path / name / to, to)
            found = objects_of(tmp_path / name / to)
            truth = objects_of(real_data / name)
            assert found.keys() == truth.keys()
            for key, entries in truth.items():
                for mine, true in zip(found[key], entries, strict=True):
                    assert mine[0] == true[0]
                    assert all(map(near, mine[1:], true[1:]))
    kept = json.loads(
        (
            tmp_path / 'coco128' / 'coco' / 'annotations' / 'instances_val.json'
        ).read_text()
    )
    assert all('segmentation' in annotation for annotation in kept['annotations'])


def near(a: float, b: float) -> bool:
    return math.isclose(a, b, abs_tol=2e-3)
