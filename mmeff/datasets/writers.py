"""Write data in COCO, VOC or YOLO layout.

Images are hard links, or copies where links fail. What a layout cannot hold is counted
in a note:

- COCO holds everything.
- VOC holds boxes of whole pixels. Corners are rounded, and 1 is added to each of the
  four, which mmdet takes off again (the inclusive corners of the original VOC would
  be `xmax = x2`, a pixel less). Ignored regions become `difficult`. Masks are lost.
- YOLO holds boxes inside the image, and masks of one polygon whose bounds are the box.
  Numbers have all digits that a float has, so that they come back to 0.001 pixel, the
  precision of the reader. Ignored regions are lost.
"""

import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import yaml

from mmeff.datasets.files import (
    IMAGE_SUFFIXES,
    free_name,
    link_or_copy,
    write_json,
)
from mmeff.datasets.raw import RawSplit
from mmeff.datasets.rules import corners
from mmeff.errors import UserError

Objects = list[tuple[str, dict]]  # class name, COCO annotation


# ------------------------------------------------------------------------------- COCO


def write_coco(folder: Path, splits: dict[str, RawSplit]) -> Counter[str]:
    """Write all splits; counts what COCO files cannot hold."""
    for name, split in splits.items():
        taken: set[str] = set()
        for image in split.coco['images']:
            file = split.image_root / image['file_name']
            image['file_name'] = free_name(image['file_name'], taken)
            link_or_copy(file, folder / name / image['file_name'])
        write_json(folder / 'annotations' / f'instances_{name}.json', split.coco)
    return Counter()


# -------------------------------------------------------------------------------- VOC


def write_voc(folder: Path, splits: dict[str, RawSplit]) -> Counter[str]:
    """Write all splits; counts what VOC files cannot hold."""
    lost = Counter()
    for label in _classes(splits):
        if not label.isprintable() or label != label.strip():
            raise UserError(f'class {label!r}: VOC files cannot hold this name')
    (folder / 'Annotations').mkdir()
    (folder / 'ImageSets' / 'Main').mkdir(parents=True)
    taken: set[str] = set()
    for name, split in splits.items():
        stems = []
        for file, image, objects in _images(split):
            stem = _stem(image['file_name'], taken)
            lost['images renamed'] += stem != PurePosixPath(image['file_name']).stem
            new = folder / 'JPEGImages' / f'{stem}{_suffix(file)}'
            link_or_copy(file, new)
            root = _voc_image(new.name, image)
            for label, annotation in objects:
                root.append(_voc_object(label, annotation, lost))
            ET.indent(root)
            xml = folder / 'Annotations' / f'{stem}.xml'
            ET.ElementTree(root).write(xml, encoding='utf-8')
            stems.append(stem)
        lines = ''.join(f'{stem}\n' for stem in stems)
        (folder / 'ImageSets' / 'Main' / f'{name}.txt').write_text(lines, 'utf-8')
    return lost


def _voc_image(name: str, image: dict) -> ET.Element:
    root = ET.Element('annotation')
    ET.SubElement(root, 'filename').text = name
    size = ET.SubElement(root, 'size')
    for key, value in (('width', image['width']), ('height', image['height'])):
        ET.SubElement(size, key).text = str(int(value))
    ET.SubElement(size, 'depth').text = '3'
    return root


def _voc_object(label: str, annotation: dict, lost: Counter) -> ET.Element:
    box = corners(annotation['bbox'])
    x1, y1, x2, y2 = (round(value) for value in box)
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)  # no box vanishes by rounding
    lost['boxes rounded to whole pixels'] += (x1, y1, x2, y2) != tuple(box)
    lost['masks left out'] += bool(annotation.get('segmentation'))
    item = ET.Element('object')
    ET.SubElement(item, 'name').text = label
    ET.SubElement(item, 'difficult').text = str(int(bool(annotation['iscrowd'])))
    element = ET.SubElement(item, 'bndbox')
    values = zip(('xmin', 'ymin', 'xmax', 'ymax'), (x1, y1, x2, y2), strict=True)
    for key, value in values:
        ET.SubElement(element, key).text = str(value + 1)
    return item


# ------------------------------------------------------------------------------- YOLO


def write_yolo(folder: Path, splits: dict[str, RawSplit]) -> Counter[str]:
    """Write all splits; counts what YOLO files cannot hold."""
    lost = Counter()
    classes = _classes(splits)
    content = {'names': dict(enumerate(classes))}
    for name, split in splits.items():
        content[name] = f'images/{name}'
        (folder / 'labels' / name).mkdir(parents=True)
        taken: set[str] = set()
        for file, image, objects in _images(split):
            stem = _stem(image['file_name'], taken)
            lost['images renamed'] += stem != PurePosixPath(image['file_name']).stem
            link_or_copy(file, folder / 'images' / name / f'{stem}{_suffix(file)}')
            lines = [
                _yolo_line(classes.index(label), annotation, image, lost)
                for label, annotation in objects
            ]
            text = ''.join(f'{line}\n' for line in lines if line)
            (folder / 'labels' / name / f'{stem}.txt').write_text(text)
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    (folder / 'data.yaml').write_text(text, 'utf-8')
    return lost


def _yolo_line(label: int, annotation: dict, image: dict, lost: Counter) -> str:
    """One object; '' for one that YOLO cannot hold."""
    if annotation['iscrowd']:
        lost['ignored regions left out'] += 1
        return ''
    size = (image['width'], image['height'])
    box = corners(annotation['bbox'])
    inside = [min(max(v, 0), size[i % 2]) for i, v in enumerate(box)]
    lost['boxes cut off at the border'] += any(
        abs(a - b) > 1e-6 for a, b in zip(inside, box, strict=True)
    )
    x1, y1, x2, y2 = inside
    if x2 <= x1 or y2 <= y1:
        lost['boxes outside of the image left out'] += 1
        return ''
    polygon = _one_polygon(annotation, inside)
    if polygon is not None:
        parts = [value / size[i % 2] for i, value in enumerate(polygon)]
    else:
        lost['masks that are not one polygon within the box left out'] += bool(
            annotation.get('segmentation')
        )
        centre = ((x1 + x2) / 2, (y1 + y2) / 2)
        parts = [v / size[i % 2] for i, v in enumerate((*centre, x2 - x1, y2 - y1))]
    return ' '.join([str(label), *map(repr, map(float, parts))])


def _one_polygon(annotation: dict, box: list[float]) -> list[float] | None:
    """The polygon of an object, if it says the same as its box and is the only one."""
    mask = annotation.get('segmentation')
    if not (isinstance(mask, list) and len(mask) == 1 and len(mask[0]) >= 6):
        return None
    x, y = mask[0][0::2], mask[0][1::2]
    bounds = (min(x), min(y), max(x), max(y))
    same = all(abs(a - b) < 5e-4 for a, b in zip(bounds, box, strict=True))
    return mask[0] if same else None


# ------------------------------------------------------------------------------ shared


def _classes(splits: dict[str, RawSplit]) -> list[str]:
    """Class names, which are the same in all splits."""
    first = next(iter(splits.values()))
    return [str(category['name']) for category in first.coco['categories']]


def _images(split: RawSplit) -> Iterator[tuple[Path, dict, Objects]]:
    """File, entry and objects of each image."""
    names = {c['id']: str(c['name']) for c in split.coco['categories']}
    objects = defaultdict(list)
    for annotation in split.coco['annotations']:
        label = names[annotation['category_id']]
        objects[annotation['image_id']].append((label, annotation))
    for image in split.coco['images']:
        yield split.image_root / image['file_name'], image, objects[image['id']]


def _suffix(file: Path) -> str:
    if file.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(
            f'{file}: VOC and YOLO tell images by their suffix; expected .jpg, .png or '
            'another one of an image'
        )
    return file.suffix


def _stem(name: str, taken: set[str]) -> str:
    """A name without folders and white space, which lists of names cannot hold."""
    path = PurePosixPath(name)
    parts = [part for part in path.with_suffix('').parts if part not in ('..', '/')]
    stem = re.sub(r'\s+', '_', '_'.join(parts)).lstrip('.') or 'image'
    return free_name(stem, taken)
