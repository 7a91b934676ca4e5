"""Write a repaired copy of a data set, in COCO form; the original is only read."""

from collections.abc import Iterator
from pathlib import Path

from mmeff.datasets.check import Check
from mmeff.datasets.files import new_folder, require_apart
from mmeff.datasets.mend import is_readable, renumber
from mmeff.datasets.raw import RawSplit, polygon_area
from mmeff.datasets.rules import (
    box_fault,
    corners,
    is_number,
    mask_fault,
    polygon_fault,
)
from mmeff.datasets.writers import write_coco
from mmeff.errors import UserError

WITHOUT_IMAGE = 'left out with their objects'
LEFT_OUT = 'left out'
# What becomes of a defect of each kind.
REPAIRS = {
    'annotation id 0': 'numbered anew',
    'bad line': LEFT_OUT,
    'bad mask': 'polygons cut off at the border, or the mask left out and the box kept',
    'box of NaN': LEFT_OUT,
    'box outside the image': 'cut off at the border',
    'box without area': LEFT_OUT,
    'categories differ': 'the same categories in all splits',
    'duplicate box': 'one kept',
    'duplicate category': 'joined',
    'duplicate id': 'the first image or category kept, annotations numbered anew',
    'duplicate image': 'the first kept',
    'image in two splits': 'kept in test before val before train',
    'inverted box': LEFT_OUT,
    'missing annotations': LEFT_OUT,
    'missing image': WITHOUT_IMAGE,
    'missing key': 'filled in',
    'path outside the folder': 'left out, but the files that links lead to are copied',
    'unknown category': LEFT_OUT,
    'unknown image': LEFT_OUT,
    'unreadable annotations': LEFT_OUT,
    'unreadable image': WITHOUT_IMAGE,
    'unused category': LEFT_OUT,
    'wrong area': 'computed anew',
    'wrong size': WITHOUT_IMAGE,
    'wrong structure': LEFT_OUT,
    'wrong type': 'read as numbers where they are some, else left out',
}


def repair(check: Check, folder: str | Path) -> list[str]:
    """Write a copy without the defects: `annotations/instances_*.json` and images.

    Images are hard links, or copies where links fail. Masks of a box that was cut off
    stay as they are.

    Args:
        check: What `check_folder` found; its `raw` data are changed.
        folder: Folder to make; outside of the original.

    Returns:
        What was changed, a line for each kind of defect.

    Raises:
        UserError: The folder exists or lies in the original, or nothing is left.
    """
    folder = Path(folder).absolute()
    require_apart(folder, check.root)
    splits = check.raw.splits if check.raw is not None else {}
    for name, split in splits.items():
        _repair_split(split, _to_drop(check, name))
    splits = {name: split for name, split in splits.items() if split.coco['images']}
    if not any(split.coco['annotations'] for split in splits.values()):
        raise UserError(f'{check.root}: no object is left after the repair')
    _repair_categories(list(splits.values()))
    with new_folder(folder) as unfinished:
        write_coco(unfinished, splits)
    return [
        f'{kind} ({count}): {REPAIRS[kind]}'
        for kind, count in sorted(check.totals.items())
    ]


def _to_drop(check: Check, name: str) -> set[Path]:
    """Files of a split that a later split has as well."""
    return {
        file
        for group in check.overlaps
        for split, file in group
        if split == name and split != group[-1][0]
    }


def _repair_split(split: RawSplit, files_to_drop: set[Path]) -> None:
    """Change the annotations of one split in place."""
    coco = split.coco
    kept: dict[str, dict] = {}
    for image in coco['images']:
        file = split.image_root / image['file_name']
        if image['id'] not in split.unusable and file not in files_to_drop:
            kept.setdefault(image['file_name'], image)
    coco['images'] = list(kept.values())
    coco['annotations'] = list(_repaired_annotations(coco))
    for number, annotation in enumerate(coco['annotations'], 1):
        annotation['id'] = number


def _repaired_annotations(coco: dict) -> Iterator[dict]:
    sizes = {image['id']: (image['width'], image['height']) for image in coco['images']}
    names = {category['id']: str(category['name']) for category in coco['categories']}
    seen = set()
    for annotation in coco['annotations']:
        size = sizes.get(annotation['image_id'])
        label = names.get(annotation['category_id'])
        box = annotation['bbox']
        if size is None or label is None or not is_readable(box):
            continue
        box = annotation['bbox'] = _repaired_box(box, size)
        key = (annotation['image_id'], label, *box)
        if box_fault(corners(box), size)[0] or key in seen:
            continue
        seen.add(key)
        _repair_mask(annotation, size)
        annotation['iscrowd'] = int(bool(annotation.get('iscrowd')))
        if not annotation.get('area', 0) > 0:
            annotation['area'] = _area(annotation)
        yield annotation


def _repaired_box(box: list, size: tuple) -> list:
    """(x, y, width, height), cut off at the border when it reaches over it."""
    if box_fault(corners(box), size)[0] != 'box outside the image':
        return box
    x1, y1, x2, y2 = corners(box)
    left, top = max(x1, 0), max(y1, 0)
    return [left, top, max(min(x2, size[0]) - left, 0), max(min(y2, size[1]) - top, 0)]


def _repair_mask(annotation: dict, size: tuple) -> None:
    """Cut off polygons; take out what is no mask."""
    mask = annotation.get('segmentation')
    if not mask_fault(mask, size):
        return
    polygons = [_cut_off(p, size) for p in mask] if isinstance(mask, list) else []
    polygons = [polygon for polygon in polygons if not polygon_fault(polygon, size)]
    annotation['segmentation'] = polygons
    if not polygons:
        del annotation['segmentation']


def _cut_off(polygon: object, size: tuple) -> object:
    if not isinstance(polygon, list) or not all(map(is_number, polygon)):
        return polygon
    return [min(max(v, 0), size[i % 2]) for i, v in enumerate(polygon)]


def _area(annotation: dict) -> float:
    mask = annotation.get('segmentation')
    area = sum(map(polygon_area, mask)) if isinstance(mask, list) else 0
    return area or annotation['bbox'][2] * annotation['bbox'][3]


def _repair_categories(splits: list[RawSplit]) -> None:
    """The classes that have objects, in the same order in all splits."""
    used, order = set(), {}
    for split in splits:
        names = {c['id']: str(c['name']) for c in split.coco['categories']}
        used |= {names[a['category_id']] for a in split.coco['annotations']}
        order |= dict.fromkeys(names.values())
    for split in splits:
        renumber(split, [name for name in order if name in used])
