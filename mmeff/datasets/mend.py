"""Mend COCO annotations that pycocotools or mmdet would misread or stumble over.

Each function changes the dictionary in place and says what it did; a file on disk is
never touched.
"""

from mmeff.datasets.raw import RawSplit
from mmeff.datasets.rules import is_number


def unify_classes(splits: list[RawSplit]) -> tuple[list[str], list[str]]:
    """Give all splits the same classes in the same order.

    mmdet numbers labels by the order of `categories` in each file, so two files with
    different orders would silently swap classes. An unused category that is only the
    supercategory of others (Roboflow writes one with id 0) is left out.

    Every annotation must name a category of its split (`mend_annotations` first).

    Returns:
        The class names in the order of the labels, and notes for a person.
    """
    used = set()
    for split in splits:
        names = _names(split.coco)
        ids = {annotation['category_id'] for annotation in split.coco['annotations']}
        used |= {(number, names[number]) for number in ids}
    categories = [c for split in splits for c in split.coco['categories']]
    kept = [
        c
        for c in categories
        if (c['id'], str(c['name'])) in used or not is_parent(c, categories)
    ]
    classes = list(dict.fromkeys(str(c['name']) for c in kept))
    notes = []
    for split in splits:
        if [c['name'] for c in split.coco['categories']] != classes:
            renumber(split, classes)
            notes.append(f'{split.source}: classes renumbered, the same in all splits')
    return classes, notes


def _names(coco: dict) -> dict:
    return {category['id']: str(category['name']) for category in coco['categories']}


def is_parent(category: dict, categories: list[dict]) -> bool:
    """True when another category names this one as its supercategory."""
    return any(
        other.get('supercategory') == category['name'] and other['id'] != category['id']
        for other in categories
    )


def renumber(split: RawSplit, classes: list[str]) -> None:
    """Give a split these categories, numbered from 1; each annotation must have one."""
    numbers = {name: number for number, name in enumerate(classes, 1)}
    names = _names(split.coco)
    for annotation in split.coco['annotations']:
        annotation['category_id'] = numbers[names[annotation['category_id']]]
    split.coco['categories'] = [{'id': i, 'name': name} for name, i in numbers.items()]
    split.ann_file = None


def mend_annotations(split: RawSplit) -> list[str]:
    """Fill in what is missing and drop what no program can read.

    Left alone, an annotation id of 0 counts as unmatched in pycocotools, a missing
    `area` or `iscrowd` ends in a KeyError, and NaN passes mmdet's filters.

    Returns:
        Notes for a person; empty when the annotations were fine.
    """
    changes = _drop_unusable(split.coco)
    annotations = split.coco['annotations']
    if any('area' not in a or 'iscrowd' not in a for a in annotations):
        for annotation in annotations:
            _, _, width, height = annotation['bbox']
            annotation.setdefault('area', width * height)
            annotation.setdefault('iscrowd', 0)
        changes.append('area or iscrowd filled in')
    ids = {annotation.get('id') for annotation in annotations}
    if len(ids) < len(annotations) or ids & {0, None}:
        for number, annotation in enumerate(annotations, 1):
            annotation['id'] = number
        changes.append('boxes numbered from 1')
    if changes:
        split.ann_file = None
    return [f'{split.source}: {", ".join(changes)}'] if changes else []


def _drop_unusable(coco: dict) -> list[str]:
    """Drop boxes that are no numbers, or belong to no image or class of the file."""
    images = {image['id'] for image in coco['images']}
    categories = {category['id'] for category in coco['categories']}
    readable = [a for a in coco['annotations'] if is_readable(a['bbox'])]
    placed = [
        a
        for a in readable
        if a['image_id'] in images and a['category_id'] in categories
    ]
    changes = []
    if len(readable) < len(coco['annotations']):
        count = len(coco['annotations']) - len(readable)
        changes.append(f'boxes that are not four numbers left out: {count}')
    if len(placed) < len(readable):
        count = len(readable) - len(placed)
        changes.append(f'boxes of unknown images or classes left out: {count}')
    coco['annotations'] = placed
    return changes


def is_readable(box: object) -> bool:
    """True for a list of four finite numbers."""
    return isinstance(box, list) and len(box) == 4 and all(map(is_number, box))


def is_degenerate(annotation: dict) -> bool:
    """True for a box under 1 pixel wide or high: mmdet does not train on it."""
    _, _, width, height = annotation['bbox']
    return width < 1 or height < 1 or annotation['area'] <= 0


def has_mask(annotation: dict) -> bool:
    """True when there is a run-length mask or a polygon of at least 3 points."""
    mask = annotation.get('segmentation')
    if isinstance(mask, dict):
        return bool(mask.get('counts'))
    return isinstance(mask, list) and any(
        isinstance(part, list) and len(part) >= 6 for part in mask
    )
