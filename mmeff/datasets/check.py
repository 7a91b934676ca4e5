"""Check a whole data set: count what is there, and collect every defect.

The readers tell what they cannot read; here every object is looked at, and the splits
are compared.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmeff.datasets.findings import Defect, Findings
from mmeff.datasets.layouts import read_raw
from mmeff.datasets.mend import is_parent, is_readable
from mmeff.datasets.overlaps import File, find_overlaps
from mmeff.datasets.raw import RawData, RawSplit
from mmeff.datasets.rules import box_fault, brief, corners, mask_fault
from mmeff.errors import UserError


@dataclass(frozen=True)
class ClassRow:
    """One class: images and boxes in all splits, boxes by split, median size.

    The size of a box is the square root of its area, in pixels.
    """

    name: str
    num_images: int
    num_boxes: int
    boxes_by_split: dict[str, int]
    median_size_px: float | None


@dataclass
class Check:
    """What a data set holds and what is wrong with it.

    Args:
        root: Folder that was checked.
        layout: Name of the layout; None when nothing could be read.
        splits: By name: numbers of images, boxes and images without objects.
        classes: One row a class, in the order of the data.
        boxes: (N, 2) width and height in pixels of the boxes that are boxes.
        defects: At most 1000 of a kind.
        totals: Number of defects by kind.
        notes: Sentences of the readers.
        raw: The data as they were read.
        overlaps: Groups of image files with the same content in several splits.
    """

    root: Path
    layout: str | None = None
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: list[ClassRow] = field(default_factory=list)
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    defects: list[Defect] = field(default_factory=list)
    totals: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    raw: RawData | None = None
    overlaps: list[list[File]] = field(default_factory=list)


@dataclass(frozen=True)
class _Object:
    """An annotation of any layout; `bbox` (x, y, width, height) as the file has it."""

    file: Path
    place: str
    image: int
    label: str | None
    bbox: object
    mask: object
    crowd: bool


def check_folder(
    root: str | Path, classes: Sequence[str] | None = None, decode: bool = False
) -> Check:
    """Check a folder in any known layout; nothing is written.

    Args:
        root: Folder of the data set.
        classes: Names that the table and the boxes are of; all when None. Defects are
            told for all.
        decode: Decode all pixels. By default the header and the end of an image file
            are read, which finds files that were cut off, but not damage in the middle.

    Raises:
        UserError: There is no such folder or class, or nothing in the folder is known.
    """
    root = Path(os.path.abspath(Path(root).expanduser()))
    found = Findings(decode)
    try:
        raw = read_raw(root, found)
    except UserError:
        if not found.totals:
            raise
        return Check(root, defects=found.defects, totals=found.totals)
    objects = {name: list(_objects(split)) for name, split in raw.splits.items()}
    boxes = {
        name: _check_objects(split, objects[name], found)
        for name, split in raw.splits.items()
    }
    _check_categories(raw, objects, found)
    for split in raw.splits.values():
        _check_names(split, found)
    overlaps = find_overlaps(raw, found)
    names = _class_names(raw, root, classes)
    rows, sizes = _count_classes(boxes, names)
    return Check(
        root=root,
        layout=raw.layout,
        splits={
            name: _count_split(split, objects[name])
            for name, split in raw.splits.items()
        },
        classes=rows,
        boxes=sizes,
        defects=found.defects,
        totals=found.totals,
        notes=raw.notes,
        raw=raw,
        overlaps=overlaps,
    )


# ---------------------------------------------------------------------- the objects


def _objects(split: RawSplit) -> Iterator[_Object]:
    for number, picture in enumerate(split.pictures, 1):
        for instance in picture.instances:
            x1, y1, x2, y2 = instance.box
            yield _Object(
                picture.source,
                instance.place,
                number,
                instance.label,
                [x1, y1, x2 - x1, y2 - y1],
                [list(instance.polygon)] if instance.polygon else None,
                instance.ignored,
            )
    if split.pictures:
        return
    names = {c['id']: str(c['name']) for c in split.coco['categories']}
    for annotation in split.coco['annotations']:
        yield _Object(
            split.source,
            f'annotation {annotation.get("id", "without id")}',
            annotation['image_id'],
            names.get(annotation['category_id']),
            annotation['bbox'],
            annotation.get('segmentation'),
            bool(annotation.get('iscrowd')),
        )


def _check_objects(
    split: RawSplit, objects: list[_Object], found: Findings
) -> list[tuple]:
    """Tell the defects of all objects of a split.

    Returns:
        (image, class, width, height) of each box that is one, but those of crowds.
    """
    if not split.pictures:
        _check_keys(split, found)
    sizes = {i['id']: (i['width'], i['height']) for i in split.coco['images']}
    seen: dict[tuple, str] = {}
    boxes = []
    for item in objects:
        size = None if item.image in split.unusable else sizes.get(item.image)
        kind, reason = _bbox_fault(item.bbox, size)
        if kind:
            found.note(kind, item.file, item.place, reason)
        reason = mask_fault(item.mask, size)
        if reason:
            found.note('bad mask', item.file, item.place, reason)
        if not is_readable(item.bbox):
            continue
        key = (item.image, item.label, *item.bbox)
        first = seen.setdefault(key, item.place)
        if first is not item.place:
            reason = f'the same box and class as {first}'
            found.note('duplicate box', item.file, item.place, reason)
        width, height = item.bbox[2:]
        if not item.crowd and min(width, height) > 0:
            boxes.append((item.image, item.label, width, height))
    return boxes


def _bbox_fault(bbox: object, size: tuple | None) -> tuple[str, str]:
    is_list = isinstance(bbox, list) and len(bbox) == 4
    if is_list and all(type(value) in (int, float) for value in bbox):
        try:
            return box_fault(corners(bbox), size)
        except OverflowError:
            return 'box of NaN', 'the box holds a number that is too large'
    return 'wrong type', f'bbox is {brief(bbox)}; expected four numbers'


def _check_keys(split: RawSplit, found: Findings) -> None:
    """Tell what is odd about annotations of a COCO file besides box and mask."""
    images = {image['id'] for image in split.coco['images']}
    categories = {category['id'] for category in split.coco['categories']}
    ids = set()
    for annotation in split.coco['annotations']:
        place = f'annotation {annotation.get("id", "without id")}'
        for key, known in (('image', images), ('category', categories)):
            value = annotation[f'{key}_id']
            if value not in known:
                reason = f'{key}_id {value} is not in the file'
                found.note(f'unknown {key}', split.source, place, reason)
        lacking = [k for k in ('id', 'area', 'iscrowd') if annotation.get(k) is None]
        if lacking:
            reason = f'has no {", ".join(lacking)}'
            found.note('missing key', split.source, place, reason)
        number = annotation.get('id')
        if number == 0:
            reason = "COCO's tools take id 0 for no annotation"
            found.note('annotation id 0', split.source, place, reason)
        if number in ids:
            reason = 'another annotation has this id'
            found.note('duplicate id', split.source, place, reason)
        if number is not None:
            ids.add(number)
        if annotation.get('area', 1) <= 0:
            reason = f'area is {annotation["area"]:g}, so mmdet leaves it out'
            found.note('wrong area', split.source, place, reason)


def _check_names(split: RawSplit, found: Findings) -> None:
    """Tell image files that a split names twice."""
    first: dict[str, int] = {}
    for image in split.coco['images']:
        if first.setdefault(image['file_name'], image['id']) != image['id']:
            found.note(
                'duplicate image',
                split.source,
                f'image {image["id"]}',
                f'{image["file_name"]} is image {first[image["file_name"]]} as well',
            )


def _check_categories(
    raw: RawData, objects: dict[str, list[_Object]], found: Findings
) -> None:
    """Tell categories without objects, and those that differ between splits."""
    used = {item.label for split in objects.values() for item in split}
    told = set()
    orders = {}
    for name, split in raw.splits.items():
        categories = split.coco['categories']
        for category in categories:
            label = str(category['name'])
            if label in used | told or is_parent(category, categories):
                continue
            told.add(label)
            reason = f'no object of "{label}"'
            place = f'category {category["id"]}'
            found.note('unused category', split.source, place, reason)
        labels = [str(category['name']) for category in categories]
        for label, count in Counter(labels).items():
            if count > 1:
                reason = f'{count} categories are called "{label}"'
                found.note('duplicate category', split.source, '', reason)
        orders[name] = labels
        reference, order = next(iter(orders.items()))
        if labels != order:
            reason = f'the categories of {name} are others than those of {reference}'
            found.note('categories differ', split.source, '', reason)


# ----------------------------------------------------------------------- the counts


def _class_names(raw: RawData, root: Path, chosen: Sequence[str] | None) -> list[str]:
    names = list(
        dict.fromkeys(
            str(category['name'])
            for split in raw.splits.values()
            for category in split.coco['categories']
        )
    )
    absent = [name for name in chosen or () if name not in names]
    if absent:
        raise UserError(
            f'{root}: no class {absent[0]!r}; it has {", ".join(names) or "none"}'
        )
    return [name for name in names if chosen is None or name in chosen]


def _count_split(split: RawSplit, objects: list[_Object]) -> dict[str, int]:
    with_objects = {item.image for item in objects}
    ids = [image['id'] for image in split.coco['images']]
    return {
        'images': len(ids),
        'boxes': sum(not item.crowd for item in objects),
        'crowds': sum(item.crowd for item in objects),
        'images_without_objects': sum(number not in with_objects for number in ids),
    }


def _count_classes(
    boxes: dict[str, list[tuple]], names: list[str]
) -> tuple[list[ClassRow], np.ndarray]:
    """Rows of the class table, and (N, 2) sizes of all their boxes."""
    found: dict[str, list[tuple]] = {name: [] for name in names}
    for split, items in boxes.items():
        for image, label, width, height in items:
            if label in found:
                found[label].append((split, image, width, height))
    rows = []
    for name, items in found.items():
        sizes = np.array([item[2:] for item in items], float).reshape(-1, 2)
        rows.append(
            ClassRow(
                name,
                len({item[:2] for item in items}),
                len(items),
                dict(Counter(item[0] for item in items)),
                float(np.median(np.sqrt(sizes).prod(1))) if items else None,
            )
        )
    every = [item[2:] for items in found.values() for item in items]
    return rows, np.array(every, float).reshape(-1, 2)
