"""Shapes: a detection and segmentation data set that is drawn, not downloaded.

Circles, rectangles and triangles of random colour, size and rotation lie on
textured backgrounds. Boxes and polygons are known exactly, hundreds of images are
drawn in a second or two, and a small detector learns them in minutes: enough to see
whether a model trains, without any download.

The folder holds the same images as real COCO and as real VOC files::

    shapes/
      shapes.json                      the parameters it was made with
      annotations/instances_{train,val}.json
      train/*.jpg  val/*.jpg
      VOC2007/Annotations/*.xml        JPEGImages/ are hard links to the images above
      VOC2007/ImageSets/Main/{train,val}.txt
"""

import json
import shutil
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2

from mmeff.datasets.drawing import CLASSES, Shape, draw_image
from mmeff.datasets.files import link_or_copy, write_json
from mmeff.errors import UserError

STAMP = 'shapes.json'
VERSION = 1  # raise it whenever the same parameters would draw other images
MIN_SIDE = 32


def make_shapes(
    root: str | Path,
    num_train: int = 800,
    num_val: int = 200,
    image_size: tuple[int, int] = (128, 128),
    seed: int = 0,
) -> Path:
    """Draw the data set into `root`, or return at once when it is already there.

    An image depends on (seed, split, index) and the size alone, so a larger set
    begins with the images of a smaller one. The folder appears under its name only
    when it is complete.

    Args:
        root: Folder to make; it may not exist yet, be empty, or hold the same set.
        num_train: Number of images in the train split.
        num_val: Number of images in the val split.
        image_size: (height, width) in pixels, each at least 32.
        seed: Any whole number from 0 on.

    Returns:
        The absolute path of the folder.

    Raises:
        UserError: The folder holds something else, or a number is out of range.
    """
    if min(num_train, num_val) < 1 or min(image_size) < MIN_SIDE or seed < 0:
        raise UserError(
            f'shapes: num_train={num_train}, num_val={num_val}, '
            f'image_size={tuple(image_size)}, seed={seed}; expected at least 1 image '
            f'a split, sides of at least {MIN_SIDE} px and a seed >= 0'
        )
    stamp = {'version': VERSION, 'num_train': num_train, 'num_val': num_val}
    stamp |= {'image_size': list(image_size), 'seed': seed}
    root = Path(root).absolute()
    if not _is_made(root, stamp):
        _make(root, stamp)
    return root


def _make(root: Path, stamp: dict) -> None:
    """Draw everything beside `root`, then give the complete folder its name."""
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = root.with_name(f'.{root.name}-{uuid.uuid4().hex[:12]}')
    try:
        for split in ('train', 'val'):
            _write_split(unfinished, split, stamp)
        write_json(unfinished / STAMP, stamp)
        _put_in_place(unfinished, root, stamp)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _is_made(root: Path, stamp: dict) -> bool:
    """True when `root` holds this very set, False when it is free to be written."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / STAMP).read_text())
    except (OSError, ValueError):
        raise UserError(
            f'{root}: holds something else than the generated shapes data (no '
            f'readable {STAMP}); name another folder, or move this one away'
        ) from None
    if found != stamp:
        raise UserError(
            f'{root}: holds shapes made with {found}, asked for {stamp}; delete the '
            'folder to draw it anew, or name another one'
        )
    return True


def _put_in_place(unfinished: Path, root: Path, stamp: dict) -> None:
    """Give the complete folder its name; another process may have been faster."""
    try:
        if root.is_dir():
            root.rmdir()
        unfinished.rename(root)
    except OSError:
        if not _is_made(root, stamp):
            raise


def _write_split(root: Path, split: str, stamp: dict) -> None:
    """Write images, COCO json and VOC files of one split."""
    height, width = stamp['image_size']
    voc = root / 'VOC2007'
    main = voc / 'ImageSets' / 'Main'
    for folder in (root / split, voc / 'Annotations', voc / 'JPEGImages', main):
        folder.mkdir(parents=True, exist_ok=True)
    images, annotations, stems = [], [], []
    for index in range(stamp[f'num_{split}']):
        pixels, shapes = draw_image(split, index, (height, width), stamp['seed'])
        stem = f'{split}_{index:06d}'
        file = root / split / f'{stem}.jpg'
        cv2.imwrite(str(file), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
        link_or_copy(file, voc / 'JPEGImages' / file.name)
        _write_voc(voc / 'Annotations' / f'{stem}.xml', (height, width), shapes)
        image = {'id': index + 1, 'file_name': file.name}
        images.append(image | {'height': height, 'width': width})
        for shape in shapes:
            annotations.append(_coco_annotation(len(annotations), index, shape))
        stems.append(stem)
    (main / f'{split}.txt').write_text('\n'.join(stems) + '\n')
    categories = [
        {'id': number, 'name': name, 'supercategory': 'shape'}
        for number, name in enumerate(CLASSES, 1)
    ]
    coco = {'info': {'description': f'mmeff shapes, {split}'}, 'licenses': []}
    coco |= {'images': images, 'annotations': annotations, 'categories': categories}
    write_json(root / 'annotations' / f'instances_{split}.json', coco)


def _coco_annotation(number: int, image_index: int, shape: Shape) -> dict:
    x1, y1, x2, y2 = shape.box
    return {
        'id': number + 1,
        'image_id': image_index + 1,
        'category_id': shape.label + 1,
        'bbox': [x1, y1, x2 - x1, y2 - y1],
        'area': round(shape.area, 2),
        'segmentation': [shape.polygon.ravel().tolist()],
        'iscrowd': 0,
    }


def _write_voc(file: Path, image_size: tuple[int, int], shapes: list[Shape]) -> None:
    """Write one VOC annotation; corners are counted from 1, as mmdet reads them."""
    height, width = image_size
    root = ET.Element('annotation')
    ET.SubElement(root, 'folder').text = 'VOC2007'
    ET.SubElement(root, 'filename').text = f'{file.stem}.jpg'
    size = ET.SubElement(root, 'size')
    for key, value in (('width', width), ('height', height), ('depth', 3)):
        ET.SubElement(size, key).text = str(value)
    for shape in shapes:
        item = ET.SubElement(root, 'object')
        ET.SubElement(item, 'name').text = CLASSES[shape.label]
        ET.SubElement(item, 'truncated').text = '0'
        ET.SubElement(item, 'difficult').text = '0'
        box = ET.SubElement(item, 'bndbox')
        for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), shape.box, strict=True):
            ET.SubElement(box, key).text = str(value + 1)
    ET.indent(root)
    ET.ElementTree(root).write(file, encoding='unicode')
