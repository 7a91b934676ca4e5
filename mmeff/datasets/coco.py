"""Read the COCO layout: one json file for each split.

Known forms: `annotations/*.json` with the images in sibling folders (COCO itself),
`train/_annotations.coco.json` beside the images (Roboflow), one or more json files in
the folder. The files are used in place; nothing is copied.
"""

import math
import os
import re
from pathlib import Path

from mmeff.datasets.coco_entries import STRUCTURE, sort_entries
from mmeff.datasets.files import (
    WRONG_SIZE,
    first_three,
    read_json,
    require_files,
    require_inside,
)
from mmeff.datasets.findings import STRICT, Defect, Strict
from mmeff.datasets.image_files import read_sizes
from mmeff.datasets.raw import SPLIT_FOLDERS, SPLITS, RawData, RawSplit

# Files of the COCO site that annotate something else than instances.
OTHER_TASKS = ('captions_', 'person_keypoints_', 'panoptic_', 'stuff_', 'image_info_')
# Headers of at most this many images a split are read, evenly spread: enough to find
# a systematic mistake, seconds instead of minutes on the full COCO.
MAX_HEADERS = 10_000


def read_coco(root: Path, found: Strict = STRICT) -> RawData | None:
    """Read a folder in COCO layout; None when it has no COCO annotation file.

    Raises:
        UserError: From `found`: a file is unreadable or incomplete, two files claim one
            split, or images are missing, unreadable, outside of the folder or of another
            size than annotated.
    """
    raw = RawData('COCO', {})
    contents = _find(root, found)
    if not contents:
        return None
    for name, file in _assign(root, contents, raw, found).items():
        coco = contents[file]
        sort_entries(file, coco, found)
        if name == 'test' and not coco['annotations']:
            raw.notes.append(f'{file}: has no annotations, left out')
            continue
        image_root = _image_root(root, file, name, coco, found)
        raw.splits[name] = RawSplit(coco, image_root, file, file)
        _check_images(root, raw.splits[name], found)
    return raw


# ------------------------------------------------------------------------- the files


def _find(root: Path, found: Strict) -> dict[Path, dict]:
    """COCO files and their content, from the first place that has any."""
    split_folders = [root / f for folders in SPLIT_FOLDERS.values() for f in folders]
    for folders in ([root / 'annotations'], split_folders, [root]):
        files = [f for folder in folders for f in sorted(folder.glob('[!.]*.json'))]
        instances = [file for file in files if file.name.startswith('instances_')]
        files = [file for file in files if not file.name.startswith(OTHER_TASKS)]
        contents = {file: read_json(file, found) for file in instances or files}
        contents = {file: c for file, c in contents.items() if _is_coco(c)}
        if contents:
            return contents
    return {}


def _is_coco(content: object) -> bool:
    return isinstance(content, dict) and 'images' in content and 'categories' in content


def _split_of(name: str) -> str | None:
    """The split that a file or folder name tells: 'instances_val2017' -> 'val'."""
    match = re.search('(?<![a-z])(train|val|test)', name.lower())
    return match.group(1) if match else None


def _assign(
    root: Path, contents: dict[Path, dict], raw: RawData, found: Strict
) -> dict[str, Path]:
    """Tell which file is which split; a single file without a name for it is train."""
    named: dict[str, list[Path]] = {name: [] for name in SPLITS}
    unnamed = []
    for file in contents:
        in_split_folder = file.parent != root and file.parent.name != 'annotations'
        split = _split_of(file.parent.name if in_split_folder else file.stem)
        (named[split] if split else unnamed).append(file)
    if not any(named.values()):
        named['train'], unnamed = unnamed, []
    for name, files in named.items():
        if len(files) > 1:
            reason = f'{len(files)} COCO files for {name}: ' + ', '.join(
                map(str, files)
            )
            found.refuse(
                f'{root}: {reason}; expected one each for train, val and test, told by '
                'their names (such as instances_train.json); move the others away',
                Defect(STRUCTURE, str(root), '', reason),
            )
    raw.notes.extend(f'{file}: names no split, left out' for file in unnamed)
    return {name: files[0] for name, files in named.items() if files}


# ------------------------------------------------------------------------ the images


def _image_root(root: Path, file: Path, split: str, coco: dict, found: Strict) -> Path:
    """The folder in which most of a few images, spread over the file, are found."""
    stem = file.stem.removeprefix('instances_')
    names = dict.fromkeys((stem, split, 'valid' if split == 'val' else split))
    places = [file.parent, *(root / name for name in names)]
    places += [root / 'images' / name for name in names]
    places += [root / name for name in ('images', 'JPEGImages', 'data', '.')]
    step = math.ceil(len(coco['images']) / 20) or 1
    sample = [image['file_name'] for image in coco['images'][::step]]
    hits = {
        place: sum(os.path.isfile(place / name) for name in sample)
        for place in places
        if place.is_dir()
    }
    best = max(hits, key=hits.get)
    if sample and not hits[best]:
        looked = dict.fromkeys(os.path.relpath(place, root) for place in places)
        found.refuse(  # each image will be told as missing
            f'{file}: none of its images is found, for example '
            f'{first_three(sample)}; looked in these folders of {root}: '
            f'{", ".join(looked)}; copy the images there, or move the json file away'
        )
    return Path(os.path.abspath(best))


def _check_images(root: Path, split: RawSplit, found: Strict) -> None:
    """All images exist; headers can be read and agree; missing sizes are filled in."""
    images = split.coco['images']
    files = [split.image_root / image['file_name'] for image in images]
    places = [f'image {image["id"]}' for image in images] if found.thorough else None
    inside = require_inside(files, [root], split.source, found, places)
    require_files(files, split.source, found, places)
    sized = all(image.get('width') and image.get('height') for image in images)
    reads_all = found.thorough or not sized or not images
    step = 1 if reads_all else math.ceil(len(images) / MAX_HEADERS)
    sizes = read_sizes(files[::step], split.source, found)
    wrong = []
    for image, size in zip(images[::step], sizes, strict=True):
        image['width'] = image.get('width') or (size or (1, 1))[0]
        image['height'] = image.get('height') or (size or (1, 1))[1]
        if size is None:
            split.unusable.add(image['id'])
        elif size != (image['width'], image['height']):
            wrong.append((image, size))
    if wrong:
        _refuse_sizes(split, wrong, len(sizes), found)
    split.unusable |= {
        image['id'] for image, is_in in zip(images, inside, strict=True) if not is_in
    }
    if not sized:
        split.ann_file = None


def _refuse_sizes(split: RawSplit, wrong: list, num_read: int, found: Strict) -> None:
    """Tell images [(entry, true size)] of another size than their entry says."""
    reasons = [
        f'{image["file_name"]} (says {image["width"]}x{image["height"]}, image '
        f'{width}x{height})'
        for image, (width, height) in wrong
    ]
    ids = [image['id'] for image, _ in wrong]
    found.refuse(
        f'{split.source}: {len(wrong)} of {num_read} images {WRONG_SIZE}: '
        f'{first_three(reasons)}',
        *(
            Defect('wrong size', str(split.source), f'image {number}', reason)
            for number, reason in zip(ids, reasons, strict=True)
        ),
    )
    split.unusable.update(ids)
