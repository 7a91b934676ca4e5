"""Every layout of the same data reads as the same boxes, in place where it can."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mmeff.datasets import read_folder
from mmeff.datasets.image_files import read_sizes
from mmeff.datasets.layouts import Split

CLASSES = ('circle', 'rectangle', 'triangle')


def boxes_of(*splits: Split) -> dict[str, list]:
    """Class and box (x, y, width, height) of all objects, by image name."""
    found = {}
    for split in splits:
        coco = json.loads(split.ann_file.read_text())
        names = {category['id']: category['name'] for category in coco['categories']}
        images = {image['id']: image for image in coco['images']}
        for image in images.values():
            assert (split.image_root / image['file_name']).is_file()
            found[Path(image['file_name']).stem] = []
        for annotation in coco['annotations']:
            stem = Path(images[annotation['image_id']]['file_name']).stem
            box = [round(value, 2) for value in annotation['bbox']]
            found[stem].append((names[annotation['category_id']], *box))
    return {stem: sorted(boxes) for stem, boxes in found.items()}


@pytest.fixture(scope='session')
def expected(shapes, tmp_path_factory) -> dict[str, dict]:
    """Boxes of each split as the original COCO files give them."""
    folder = read_folder(shapes, tmp_path_factory.mktemp('unused'))
    return {name: boxes_of(split) for name, split in folder.splits.items()}


@pytest.mark.parametrize('layout', ['devkit', 'VOC folder', 'boxes', 'polygons'])
def test_layouts_with_splits_give_the_boxes_of_coco(
    layout, shapes, yolo_of, tmp_path, expected
):
    if layout == 'devkit':
        root = tmp_path / 'devkit'
        shutil.copytree(shapes / 'VOC2007', root / 'VOCdevkit' / 'VOC2007')
    elif layout == 'VOC folder':
        root = shapes / 'VOC2007'
    else:
        root = yolo_of(shapes, tmp_path / 'yolo', polygons=layout == 'polygons')
    folder = read_folder(root, tmp_path / 'cache')
    assert folder.classes == CLASSES
    assert folder.has_masks == (layout == 'polygons')
    assert folder.voc_eval_mode == (
        '11points' if layout in ('devkit', 'VOC folder') else None
    )
    for name in ('train', 'val', 'test'):
        assert boxes_of(folder.splits[name]) == expected[name]
        assert folder.splits[name].num_images == len(expected[name])
        assert folder.splits[name].num_boxes == sum(map(len, expected[name].values()))
    assert folder.splits['train'].ann_file == tmp_path / 'cache' / 'train.json'


def test_coco_is_used_in_place(shapes, tmp_path):
    folder = read_folder(shapes, tmp_path / 'cache')
    for name, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        file = shapes / 'annotations' / f'instances_{split}.json'
        assert folder.splits[name].ann_file == file
        assert folder.splits[name].image_root == shapes / split
    assert (folder.layout, folder.has_masks, folder.notes) == ('COCO', True, ())
    assert not (tmp_path / 'cache').exists()


def test_plain_voc_folder_holds_out_a_fifth(shapes, tmp_path, expected):
    root = tmp_path / 'plain'
    shutil.copytree(shapes / 'VOC2007' / 'JPEGImages', root)
    for xml in (shapes / 'VOC2007' / 'Annotations').iterdir():
        shutil.copy(xml, root)
    folder = read_folder(root, tmp_path / 'cache')
    train, val = boxes_of(folder.splits['train']), boxes_of(folder.splits['val'])
    assert {**train, **val} == {**expected['train'], **expected['val']}
    assert (len(train), len(val)) == (12, 3)
    assert '3 images of train held out as val' in folder.notes[0]
    again = read_folder(root, tmp_path / 'cache 2')
    assert boxes_of(again.splits['val']) == val


def test_voc_without_lists_holds_out_and_says_so(voc, tmp_path):
    shutil.rmtree(voc / 'ImageSets')
    folder = read_folder(voc, tmp_path / 'cache')
    assert folder.splits['train'].num_images == 12
    assert 'no lists of the splits' in folder.notes[0]


def test_voc_years_are_joined_by_the_0712_protocol(shapes, tmp_path):
    lists = {'VOC2007': ('trainval', 'test'), 'VOC2012': ('trainval', None)}
    for year, (train, val) in lists.items():
        shutil.copytree(shapes / 'VOC2007', tmp_path / 'kit' / year)
        main = tmp_path / 'kit' / year / 'ImageSets' / 'Main'
        (main / 'train.txt').rename(main / f'{train}.txt')
        if val:
            (main / 'val.txt').rename(main / f'{val}.txt')
    folder = read_folder(tmp_path / 'kit', tmp_path / 'cache')
    assert folder.layout == 'VOC2007+VOC2012'
    assert folder.voc_eval_mode == '11points'
    assert folder.splits['train'].num_images == 20
    assert folder.splits['val'].num_images == 5
    assert folder.splits['test'] == folder.splits['val']
    names = [
        image['file_name']
        for image in json.loads(folder.splits['train'].ann_file.read_text())['images']
    ]
    assert names[0] == 'VOC2007/JPEGImages/train_000000.jpg'
    assert names[-1] == 'VOC2012/JPEGImages/train_000009.jpg'


def test_difficult_objects_become_crowds(voc, tmp_path):
    file = voc / 'Annotations' / 'train_000000.xml'
    text = file.read_text()
    difficult = text.replace('<difficult>0', '<difficult>1', 1)
    file.write_text(difficult)
    folder = read_folder(voc, tmp_path / 'cache')
    coco = json.loads(folder.splits['train'].ann_file.read_text())
    crowds = [a for a in coco['annotations'] if a['iscrowd']]
    assert [a['image_id'] for a in crowds] == [1]
    assert folder.splits['train'].num_boxes == len(coco['annotations']) - 1


def test_voc_boxes_without_area_are_dropped_and_counted(voc, tmp_path):
    file = voc / 'Annotations' / 'val_000000.xml'
    broken = ''.join(
        f'<object><name>circle</name><bndbox><xmin>{x1}</xmin><ymin>9</ymin>'
        '<xmax>20</xmax><ymax>30</ymax></bndbox></object>'
        for x1 in ('20', 'nan', '')
    )
    count = read_folder(voc, tmp_path / 'cache').splits['val'].num_boxes
    file.write_text(file.read_text().replace('</annotation>', f'{broken}</annotation>'))
    folder = read_folder(voc, tmp_path / 'cache')
    assert folder.splits['val'].num_boxes == count
    assert folder.notes == ('val: boxes without area left out: 3',)


def test_roboflow_coco_folders(coco, tmp_path, edit, expected):
    for split, name in (('train', 'train'), ('val', 'valid')):
        file = coco / 'annotations' / f'instances_{split}.json'
        content = edit(file)
        categories = [{'id': 0, 'name': 'things', 'supercategory': 'none'}]
        for category in content['categories']:
            categories.append({**category, 'supercategory': 'things'})
        for annotation in content['annotations']:
            annotation['id'] -= 1
        edit(file, {**content, 'categories': categories})
        (coco / split).rename(coco / name)
        file.rename(coco / name / '_annotations.coco.json')
    (coco / 'annotations').rmdir()
    folder = read_folder(coco, tmp_path / 'cache')
    assert folder.classes == CLASSES
    assert boxes_of(folder.splits['val']) == expected['val']
    written = json.loads(folder.splits['train'].ann_file.read_text())
    assert written['annotations'][0]['id'] == 1
    assert any('boxes numbered from 1' in note for note in folder.notes)
    assert any('classes renumbered' in note for note in folder.notes)


def test_single_coco_file_holds_out_a_fifth(coco, tmp_path, expected):
    (coco / 'annotations' / 'instances_train.json').rename(coco / 'labels.json')
    shutil.rmtree(coco / 'annotations')
    (coco / 'train').rename(coco / 'images')
    folder = read_folder(coco, tmp_path / 'cache')
    train, val = boxes_of(folder.splits['train']), boxes_of(folder.splits['val'])
    assert (len(train), len(val)) == (8, 2)
    assert {**train, **val} == expected['train']
    assert folder.has_masks


def test_val_alone_is_for_testing_only(coco, tmp_path):
    (coco / 'annotations' / 'instances_train.json').unlink()
    folder = read_folder(coco, tmp_path / 'cache')
    assert sorted(folder.splits) == ['test', 'val']
    assert 'for testing only' in folder.notes[0]


@pytest.mark.parametrize('form', ['split folders', 'classes.txt', 'list', 'roboflow'])
def test_other_forms_of_yolo(form, yolo, tmp_path, expected):
    if form == 'split folders':
        (yolo / 'data.yaml').unlink()
        for split, name in (('train', 'train'), ('val', 'valid')):
            (yolo / name).mkdir()
            (yolo / 'images' / split).rename(yolo / name / 'images')
            (yolo / 'labels' / split).rename(yolo / name / 'labels')
        (yolo / 'classes.txt').write_text('\n'.join(CLASSES))
    elif form == 'classes.txt':
        (yolo / 'data.yaml').unlink()
        (yolo / 'labels' / 'classes.txt').write_text('\n'.join(CLASSES) + '\n')
    elif form == 'list':
        images = sorted((yolo / 'images' / 'train').iterdir())
        lines = [f'./images/train/{image.name}' for image in images]
        (yolo / 'train.txt').write_text('\n'.join(lines))
        text = (yolo / 'data.yaml').read_text()
        text = text.replace('images/train', 'train.txt')
        (yolo / 'data.yaml').write_text(f'{text}path: /somewhere/else\n')
    else:
        text = (yolo / 'data.yaml').read_text().replace('images/', '../images/')
        (yolo / 'data.yaml').write_text(f'{text}test: ../images/test\n')
    folder = read_folder(yolo, tmp_path / 'cache')
    assert folder.layout == 'YOLO'
    assert boxes_of(folder.splits['train']) == expected['train']
    assert boxes_of(folder.splits['val']) == expected['val']


def test_flat_yolo_folder(shapes, yolo, tmp_path, expected):
    root = tmp_path / 'flat'
    shutil.copytree(yolo / 'images' / 'train', root)
    shutil.copytree(yolo / 'labels' / 'train', root, dirs_exist_ok=True)
    (root / 'classes.txt').write_text('\n'.join(CLASSES))
    folder = read_folder(root, tmp_path / 'cache')
    found = boxes_of(folder.splits['train'], folder.splits['val'])
    assert found == expected['train']


def test_yolo_image_without_text_file_is_background(yolo, tmp_path):
    (yolo / 'labels' / 'train' / 'train_000000.txt').unlink()
    folder = read_folder(yolo, tmp_path / 'cache')
    assert folder.splits['train'].num_images == 10
    assert boxes_of(folder.splits['train'])['train_000000'] == []


def test_yolo_boxes_without_area_are_dropped_and_counted(yolo, tmp_path):
    with open(yolo / 'labels' / 'val' / 'val_000000.txt', 'a') as file:
        file.write('\n0 0.5 0.5 0 0.1\n0 nan 0.5 0.1 0.1\n')
    folder = read_folder(yolo, tmp_path / 'cache')
    assert folder.notes == ('val: boxes without area left out: 2',)


def test_some_objects_without_mask_mean_no_masks(coco, tmp_path, edit):
    file = coco / 'annotations' / 'instances_val.json'
    content = edit(file)
    del content['annotations'][0]['segmentation']
    edit(file, content)
    folder = read_folder(coco, tmp_path / 'cache')
    assert not folder.has_masks
    assert folder.notes[0].startswith('1 of ')


def test_chosen_classes_keep_the_order_of_the_data(shapes, tmp_path):
    folder = read_folder(shapes, tmp_path, classes=['triangle', 'circle'])
    assert folder.classes == ('circle', 'triangle')
    everything = read_folder(shapes, tmp_path)
    assert 0 < folder.splits['val'].num_boxes < everything.splits['val'].num_boxes


def test_size_is_that_of_the_image_turned_by_its_exif_tag(tmp_path):
    image = Image.new('RGB', (40, 30))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / 'turned.jpg', exif=exif)
    image.save(tmp_path / 'plain.jpg')
    files = [tmp_path / 'turned.jpg', tmp_path / 'plain.jpg']
    assert read_sizes(files, tmp_path) == [(30, 40), (40, 30)]


def test_bccd_counts(real_data, tmp_path):
    folder = read_folder(real_data / 'bccd', tmp_path)
    assert folder.layout == 'VOC2007'
    assert folder.classes == ('Platelets', 'RBC', 'WBC')
    images = {name: split.num_images for name, split in folder.splits.items()}
    assert images == {'train': 205, 'val': 87, 'test': 72}


def test_coco128_counts(real_data, tmp_path):
    folder = read_folder(real_data / 'coco128', tmp_path / 'cache')
    assert len(folder.classes) == 80
    assert folder.has_masks
    assert folder.splits['val'].num_images == 100
    assert not (tmp_path / 'cache').exists()
