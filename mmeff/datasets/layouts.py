"""Find out how a folder stores its data, check it, and give it in COCO form.

Whatever the layout, the result names one COCO json file and one image folder for
each of train, val and test. All checks run before any training starts and end in a
`UserError` that names the file.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmeff.datasets.coco import read_coco
from mmeff.datasets.files import write_json
from mmeff.datasets.findings import STRICT, Strict
from mmeff.datasets.mend import (
    has_mask,
    is_degenerate,
    mend_annotations,
    unify_classes,
)
from mmeff.datasets.raw import RawData, RawSplit
from mmeff.datasets.voc import read_voc
from mmeff.datasets.yolo import read_yolo
from mmeff.errors import UserError

VAL_PART = 0.2
EXPECTED = (
    'COCO (annotations/*.json, train/_annotations.coco.json, one *.json), '
    'VOC (VOC2007/Annotations/*.xml, Annotations/*.xml, *.xml beside the images) '
    'or YOLO (data.yaml, images/ with labels/*.txt and classes.txt)'
)


@dataclass(frozen=True)
class Split:
    """One split, ready for mmdet's CocoDataset.

    Args:
        ann_file: COCO json file: the user's own, or one written to the cache.
        image_root: Folder that the file names in it are relative to.
        num_images: Number of images.
        num_boxes: Number of objects of the chosen classes, crowds not counted.
    """

    ann_file: Path
    image_root: Path
    num_images: int
    num_boxes: int


@dataclass(frozen=True)
class DataFolder:
    """A data set that was found and checked.

    Args:
        root: Folder that was asked for.
        layout: Name of the layout for a person, such as 'COCO' or 'VOC2007'.
        splits: Any of train, val, test; val and test are always there.
        classes: Class names in the order of the labels.
        has_masks: True when every object has a mask.
        voc_eval_mode: '11points' or 'area' for VOC data, else None.
        notes: Sentences to print, such as what was held out or left out.
    """

    root: Path
    layout: str
    splits: dict[str, Split]
    classes: tuple[str, ...]
    has_masks: bool
    voc_eval_mode: str | None
    notes: tuple[str, ...]


def read_folder(
    root: str | Path,
    cache_dir: str | Path,
    classes: Sequence[str] | None = None,
    min_side: int = 0,
) -> DataFolder:
    """Read a data set in any known layout.

    COCO files are used in place. VOC and YOLO annotations, splits that had to be held
    out and COCO files that had to be mended are written to `cache_dir`.

    Args:
        root: Folder of the data set.
        cache_dir: Folder for the COCO files to write, made when needed.
        classes: Names to keep; all when None. The order is that of the data.
        min_side: Training images with a side under this many pixels do not count.

    Raises:
        UserError: The folder, its annotations or its images are not usable.
    """
    root = Path(os.path.abspath(Path(root).expanduser()))
    raw = read_raw(root)
    _complete_splits(raw, root)
    for split in raw.splits.values():
        raw.notes.extend(mend_annotations(split))
    names, notes = unify_classes(list(raw.splits.values()))
    raw.notes.extend(notes)
    chosen = _choose_classes(raw, names, classes)
    boxes = {name: _boxes(split, chosen) for name, split in raw.splits.items()}
    _check_kept(raw, boxes, min_side)
    _note_degenerate(raw, boxes)
    has_masks = _check_masks(raw, boxes)
    return DataFolder(
        root=root,
        layout=raw.layout,
        splits=_write_splits(raw, boxes, Path(cache_dir)),
        classes=tuple(chosen),
        has_masks=has_masks,
        voc_eval_mode=raw.voc_eval_mode,
        notes=tuple(raw.notes),
    )


# ------------------------------------------------------------------------- the splits


def read_raw(root: str | Path, found: Strict = STRICT) -> RawData:
    """Read a folder in the first layout that fits.

    Args:
        root: Folder of the data set.
        found: Is told each defect.

    Raises:
        UserError: There is no such folder, or nothing in it is known; and from `found`.
    """
    root = Path(os.path.abspath(Path(root).expanduser()))
    if not root.is_dir():
        what = 'is a file' if root.exists() else 'does not exist'
        raise UserError(f'{root}: {what}; expected a folder with {EXPECTED}')
    try:
        for read in (read_coco, read_voc, read_yolo):
            raw = read(root, found)
            if raw is not None and raw.splits:
                return raw
    except OSError as error:
        raise UserError(f'{root}: cannot be read ({error})') from error
    raise UserError(
        f'{root}: no annotations found; looked for {EXPECTED}; the folder holds '
        f'{_listing(root)}'
    )


def _listing(root: Path) -> str:
    """What lies in a folder, in a few words."""
    entries = sorted(root.iterdir())
    folders = [f'{entry.name}/' for entry in entries if entry.is_dir()]
    suffixes = Counter(entry.suffix for entry in entries if not entry.is_dir())
    files = [f'{count} *{suffix} files' for suffix, count in suffixes.items()]
    listed = (folders + files)[:12]
    return ', '.join(listed) or 'nothing'


def _complete_splits(raw: RawData, root: Path) -> None:
    """Hold out val from train where it is missing."""
    splits = raw.splits
    if 'val' not in splits:
        if 'train' in splits:
            splits['train'], splits['val'] = _hold_out(splits['train'])
            raw.notes.append(
                f'no val split: {len(splits["val"].coco["images"])} images of train '
                'held out as val, chosen by a hash of their names'
            )
        else:
            splits['val'] = splits.pop('test')
            raw.notes.append('no val split: test is used as val')
    if 'train' not in splits:
        raw.notes.append(f'no train split in {root}: for testing only')


def _hold_out(split: RawSplit) -> tuple[RawSplit, RawSplit]:
    """Divide a split, the same way whenever the file names are the same."""
    images = sorted(
        split.coco['images'],
        key=lambda image: hashlib.sha1(
            image['file_name'].encode(errors='surrogatepass')
        ).digest(),
    )
    if len(images) < 2:
        raise UserError(
            f'{split.source}: {len(images)} images and no val split; expected at least '
            '2 images, to hold one out'
        )
    held_out = {
        image['id'] for image in images[: max(1, round(VAL_PART * len(images)))]
    }
    return _part(split, held_out, False), _part(split, held_out, True)


def _part(split: RawSplit, ids: set, inside: bool) -> RawSplit:
    """The images whose id is (or is not) one of `ids`, with their annotations."""
    coco = split.coco | {
        'images': [i for i in split.coco['images'] if (i['id'] in ids) == inside],
        'annotations': [
            a for a in split.coco['annotations'] if (a['image_id'] in ids) == inside
        ],
    }
    return RawSplit(coco, split.image_root, split.source)


def _write_splits(raw: RawData, boxes: dict, cache_dir: Path) -> dict[str, Split]:
    """Write what is not on disk in COCO form yet; a missing test is val."""
    splits = {}
    for name, split in raw.splits.items():
        if split.ann_file is None:
            split.ann_file = Path(os.path.abspath(cache_dir)) / f'{name}.json'
            write_json(split.ann_file, split.coco)
        num_boxes = sum(not box['iscrowd'] for box in boxes[name])
        num_images = len(split.coco['images'])
        splits[name] = Split(split.ann_file, split.image_root, num_images, num_boxes)
    splits.setdefault('test', splits['val'])
    return splits


# ------------------------------------------------------------------------- the checks


def _choose_classes(
    raw: RawData, names: list[str], classes: Sequence[str] | None
) -> list[str]:
    """Names to use, in the order of the data; those asked for must be annotated."""
    if classes is None:
        return names
    first = next(iter(raw.splits.values()))
    ids = {c['id']: str(c['name']) for c in first.coco['categories']}
    counts = Counter(ids[a['category_id']] for a in first.coco['annotations'])
    absent = [name for name in classes if not counts[name]]
    if absent or not classes:
        existing = ', '.join(f'{name} ({counts[name]})' for name in names)
        raise UserError(
            f'classes={tuple(classes)}: no annotation of {", ".join(absent) or "none"} '
            f'in {first.source}; it has {existing}'
        )
    return [name for name in names if name in classes]


def _boxes(split: RawSplit, classes: list[str]) -> list[dict]:
    """Annotations of the chosen classes."""
    ids = {c['id'] for c in split.coco['categories'] if str(c['name']) in classes}
    return [a for a in split.coco['annotations'] if a['category_id'] in ids]


def _check_kept(raw: RawData, boxes: dict[str, list[dict]], min_side: int) -> None:
    """Each split has a box; at least one training image survives mmdet's filter."""
    for name, split in raw.splits.items():
        usable = {
            box['image_id']
            for box in boxes[name]
            if not box['iscrowd'] and not is_degenerate(box)
        }
        images = [image for image in split.coco['images'] if image['id'] in usable]
        if not images:
            raise UserError(
                f'{split.source}: no image of {name} is kept: none of its '
                f'{len(split.coco["images"])} images has a usable box '
                f'({len(boxes[name])} annotations); expected at least one'
            )
        largest = max(min(image['width'], image['height']) for image in images)
        if name == 'train' and largest < min_side:
            raise UserError(
                f'{split.source}: no image of train is kept: the shorter sides are '
                f'{largest} px at most, and the config keeps images from {min_side} px '
                'on (filter_cfg.min_size)'
            )


def _check_masks(raw: RawData, boxes: dict[str, list[dict]]) -> bool:
    """True when every object has a mask; mmdet stops at the first one without."""
    masks = [has_mask(box) for split in boxes.values() for box in split]
    if any(masks) and not all(masks):
        raw.notes.append(
            f'{masks.count(False)} of {len(masks)} objects have no mask, so none is '
            'used'
        )
    return all(masks)


def _note_degenerate(raw: RawData, boxes: dict[str, list[dict]]) -> None:
    for name, split in boxes.items():
        count = sum(map(is_degenerate, split))
        if count:
            raw.notes.append(
                f'{name}: boxes under 1 px, which mmdet leaves out: {count}'
            )
