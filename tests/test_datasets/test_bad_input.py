"""Data that cannot be used end in a message that names the file and what to do."""

import shutil

import pytest
from PIL import Image

from mmeff.datasets import read_folder
from mmeff.errors import UserError


@pytest.fixture
def refused(tmp_path):
    """refused(root, text, ...) reads the folder and checks the message for all texts."""

    def check(root, *texts, **options):
        with pytest.raises(UserError) as error:
            read_folder(root, tmp_path / 'cache', **options)
        for text in texts:
            assert text in str(error.value)
        assert not (tmp_path / 'cache').exists()

    return check


def test_missing_folder(tmp_path, refused):
    refused(tmp_path / 'nowhere', f'{tmp_path / "nowhere"}: does not exist', 'COCO')


def test_file_instead_of_folder(shapes, refused):
    refused(shapes / 'shapes.json', 'shapes.json: is a file', 'expected a folder')


def test_folder_without_annotations_lists_what_it_holds(tmp_path, refused):
    root = tmp_path / 'photos'
    (root / 'holiday').mkdir(parents=True)
    Image.new('RGB', (8, 8)).save(root / 'a.png')
    refused(root, 'no annotations found', 'data.yaml', 'holds holiday/, 1 *.png files')


def test_empty_folder(tmp_path, refused):
    (tmp_path / 'empty').mkdir()
    refused(tmp_path / 'empty', 'the folder holds nothing')


# -------------------------------------------------------------------------------- COCO


def test_broken_json(coco, refused):
    file = coco / 'annotations' / 'instances_val.json'
    file.write_text(file.read_text()[:1000])
    refused(coco, f'{file}: cannot be read as json')


@pytest.mark.parametrize(
    ('part', 'key'), [('annotations', 'bbox'), ('images', 'file_name')]
)
def test_json_without_a_needed_key(coco, edit, refused, part, key):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    del content[part][2][key]
    edit(file, content)
    refused(coco, f'{file}: {part}[2] has no {key}')


def test_two_files_for_one_split(coco, refused):
    annotations = coco / 'annotations'
    shutil.copy(
        annotations / 'instances_train.json', annotations / 'instances_train2.json'
    )
    refused(coco, '2 COCO files for train', 'instances_train2.json', 'move the others')


def test_ids_used_twice(coco, edit, refused):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    content['images'][1]['id'] = content['images'][0]['id']
    edit(file, content)
    refused(coco, f'{file}: 1 ids in "images" are used twice')


def test_missing_images_are_counted(coco, refused):
    for number in (1, 3, 5, 7):
        (coco / 'train' / f'train_{number:06d}.jpg').unlink()
    refused(
        coco,
        'instances_train.json: 4 of 10 images are missing',
        'train_000001.jpg',
        'train_000005.jpg, ...',
    )


def test_no_image_found_says_where_it_looked(coco, refused):
    (coco / 'val').rename(coco / 'elsewhere')
    refused(
        coco,
        'instances_val.json: none of its images is found',
        'annotations, val, valid, images/val',
    )


@pytest.mark.parametrize(
    ('content', 'reason'), [(b'', 'empty file'), (b'<html>', 'no image format')]
)
def test_unreadable_images(coco, refused, content, reason):
    file = coco / 'train' / 'train_000002.jpg'
    file.write_bytes(content)
    refused(coco, '1 of 10 images cannot be read', str(file), reason)


def test_image_of_another_size(coco, refused):
    file = coco / 'val' / 'val_000001.jpg'
    Image.open(file).rotate(90, expand=True).save(file)
    refused(coco, 'val_000001.jpg (says 128x96, image 96x128)', '1 of 5 images give')


def test_single_image_cannot_be_divided(coco, edit, refused):
    (coco / 'annotations' / 'instances_val.json').unlink()
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    content['images'] = content['images'][:1]
    edit(file, content)
    refused(coco, 'expected at least 2 images')


# ---------------------------------------------------------------------- classes, boxes


def test_absent_class_lists_those_that_exist(shapes, refused):
    refused(
        shapes,
        "classes=('circle', 'hexagon')",
        'no annotation of hexagon',
        'it has circle (',
        classes=('circle', 'hexagon'),
    )


def test_no_image_kept(coco, edit, refused):
    file = coco / 'annotations' / 'instances_train.json'
    content = edit(file)
    edit(file, {**content, 'annotations': []})
    refused(coco, f'{file}: no image of train is kept', '10 images has a usable box')


def test_images_smaller_than_the_config_keeps(shapes, refused):
    refused(shapes, '96 px at most', 'from 100 px on', min_side=100)


# --------------------------------------------------------------------------------- VOC


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ('<annotation><object>', 'cannot be read as VOC annotation'),
        ('<html/>', 'the root element is <html>'),
        ('<annotation><object><name>a</name></object></annotation>', 'or <bndbox>'),
    ],
)
def test_broken_xml(voc, refused, content, reason):
    file = voc / 'Annotations' / 'train_000003.xml'
    file.write_text(content)
    refused(voc, str(file), reason)


def test_xml_entities_are_refused(voc, refused):
    file = voc / 'Annotations' / 'train_000003.xml'
    entity = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
    file.write_text(f'{entity}<annotation><filename>&e;</filename></annotation>')
    refused(voc, f'{file}: cannot be read', 'document type declaration')


def test_xml_size_unlike_the_image(voc, refused):
    file = voc / 'Annotations' / 'val_000000.xml'
    file.write_text(file.read_text().replace('<width>128', '<width>512'))
    refused(voc, f'{file} (says 512x96, image 128x96)')


def test_listed_annotation_missing(voc, refused):
    (voc / 'Annotations' / 'train_000003.xml').unlink()
    refused(voc, 'train.txt: 1 of 10 annotations are missing', 'train_000003.xml')


def test_voc_image_missing(voc, refused):
    (voc / 'JPEGImages' / 'val_000003.jpg').unlink()
    refused(voc, '1 of 5 images are missing', 'JPEGImages/val_000003.jpg')


# -------------------------------------------------------------------------------- YOLO


@pytest.mark.parametrize(
    ('line', 'reason'),
    [
        ('0 0.5 0.5 0.1', 'expected `class cx cy width height`'),
        ('circle 0.5 0.5 0.1 0.1', 'expected `class cx cy width height`'),
        ('0 0.5 0.5 0.1 0.1 0.9', 'expected `class cx cy width height`'),
        ('3 0.5 0.5 0.1 0.1', 'class 3, but there are names for 0 to 2'),
        ('0 64 48 10 10', 'expected coordinates from 0 to 1'),
    ],
)
def test_broken_yolo_line(yolo, refused, line, reason):
    file = yolo / 'labels' / 'train' / 'train_000001.txt'
    file.write_text(f'\n{line}\n')
    refused(yolo, f'{file}, line 2: ', reason)


def test_broken_yaml(yolo, refused):
    (yolo / 'data.yaml').write_text('names: [a, b\n')
    refused(yolo, 'data.yaml: cannot be read as yaml')


def test_yaml_cannot_run_code(yolo, refused):
    (yolo / 'data.yaml').write_text('names: !!python/object/apply:os.getcwd []\n')
    refused(yolo, 'data.yaml: cannot be read as yaml')


def test_yaml_with_gaps_in_the_names(yolo, refused):
    (yolo / 'data.yaml').write_text('names: {0: a, 2: b}\ntrain: images/train\n')
    refused(yolo, 'the keys of names are [0, 2]')


def test_yaml_with_missing_train_folder(yolo, refused):
    (yolo / 'data.yaml').write_text('names: [a]\ntrain: pictures\n')
    refused(yolo, "train (['pictures']) does not exist", f'relative to {yolo}')


def test_yolo_without_names(yolo, refused):
    (yolo / 'data.yaml').unlink()
    refused(yolo, 'no class names', 'classes.txt, class 0 first')


def test_yolo_without_text_files(yolo, refused):
    shutil.rmtree(yolo / 'labels' / 'val')
    refused(yolo, 'none of the 5 val images has a text file', 'labels/val')
