"""Read the COCO layout: one json file for each split.

Known forms: `annotations/*.json` with the images in sibling folders (COCO itself),
`train/_annotations.coco.json` beside the images (Roboflow), one or more json files in
the folder. The files are used in place; nothing is copied.
"""

import math
import os
import re
from pathlib import Path

from mmeff.datasets.files import (
    WRONG_SIZE,
    first_three,
    read_json,
    read_sizes,
    require_files,
)
from mmeff.datasets.raw import SPLIT_FOLDERS, SPLITS, RawData, RawSplit
from mmeff.errors import UserError

# Files of the COCO site that annotate something else than instances.
OTHER_TASKS = ('captions_', 'person_keypoints_', 'panoptic_', 'stuff_', 'image_info_')
# Headers of at most this many images a split are read, evenly spread: enough to find
# a systematic mistake, seconds instead of minutes on the full COCO.
MAX_HEADERS = 10_000


def read_coco(root: Path) -> RawData | None:
    """Read a folder in COCO layout; None when it has no COCO annotation file.

    Raises:
        UserError: A file is unreadable or incomplete, two files claim one split, or
            images are missing, unreadable or of another size than annotated.
    """
    raw = RawData('COCO', {})
    contents = _find(root)
    if not contents:
        return None
    for name, file in _assign(root, contents, raw).items():
        coco = contents[file]
        _check_structure(file, coco)
        if name == 'test' and not coco['annotations']:
            raw.notes.append(f'{file}: has no annotations, left out')
            continue
        image_root = _image_root(root, file, name, coco)
        raw.splits[name] = RawSplit(coco, image_root, file, file)
        _check_images(raw.splits[name])
    return raw


# ------------------------------------------------------------------------- the files


def _find(root: Path) -> dict[Path, dict]:
    """COCO files and their content, from the first place that has any."""
    split_folders = [root / f for folders in SPLIT_FOLDERS.values() for f in folders]
    for folders in ([root / 'annotations'], split_folders, [root]):
        files = [f for folder in folders for f in sorted(folder.glob('[!.]*.json'))]
        instances = [file for file in files if file.name.startswith('instances_')]
        files = [file for file in files if not file.name.startswith(OTHER_TASKS)]
        contents = {file: read_json(file) for file in instances or files}
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


def _assign(root: Path, contents: dict[Path, dict], raw: RawData) -> dict[str, Path]:
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
            raise UserError(
                f'{root}: {len(files)} COCO files for {name}: '
                f'{", ".join(str(file) for file in files)}; expected one each for '
                'train, val and test, told by their names (such as '
                'instances_train.json); move the others away'
            )
    raw.notes.extend(f'{file}: names no split, left out' for file in unnamed)
    return {name: files[0] for name, files in named.items() if files}


def _check_structure(file: Path, coco: dict) -> None:
    """Lists of images, annotations and categories with the keys that are needed."""
    needed = {
        'images': ('id', 'file_name'),
        'annotations': ('image_id', 'category_id', 'bbox'),
        'categories': ('id', 'name'),
    }
    for part, keys in needed.items():
        entries = coco.setdefault(part, []) if part == 'annotations' else coco[part]
        if not isinstance(entries, list):
            raise UserError(f'{file}: "{part}" is no list; expected the COCO format')
        for number, entry in enumerate(entries):
            lacking = [k for k in keys if not isinstance(entry, dict) or k not in entry]
            if lacking:
                raise UserError(
                    f'{file}: {part}[{number}] has no {", ".join(lacking)}; expected '
                    f'{", ".join(keys)} in each, as in COCO instances files'
                )
    for part in ('images', 'categories'):
        ids = [entry['id'] for entry in coco[part]]
        if len(set(ids)) < len(ids):
            raise UserError(
                f'{file}: {len(ids) - len(set(ids))} ids in "{part}" are used twice; '
                'give each its own'
            )


# ------------------------------------------------------------------------ the images


def _image_root(root: Path, file: Path, split: str, coco: dict) -> Path:
    """The folder in which most of a few images, spread over the file, are found."""
    stem = file.stem.removeprefix('instances_')
    names = dict.fromkeys((stem, split, 'valid' if split == 'val' else split))
    places = [file.parent, *(root / name for name in names)]
    places += [root / 'images' / name for name in names]
    places += [root / name for name in ('images', 'JPEGImages', 'data', '.')]
    step = math.ceil(len(coco['images']) / 20) or 1
    sample = [image['file_name'] for image in coco['images'][::step]]
    hits = {
        place: sum((place / name).is_file() for name in sample)
        for place in places
        if place.is_dir()
    }
    best = max(hits, key=hits.get)
    if sample and not hits[best]:
        looked = dict.fromkeys(os.path.relpath(place, root) for place in places)
        raise UserError(
            f'{file}: none of its images is found, for example '
            f'{first_three(sample)}; looked in these folders of {root}: '
            f'{", ".join(looked)}; copy the images there, or move the json file away'
        )
    return Path(os.path.abspath(best))


def _check_images(split: RawSplit) -> None:
    """All images exist; headers can be read and agree; missing sizes are filled in."""
    images = split.coco['images']
    files = [split.image_root / image['file_name'] for image in images]
    require_files(files, split.source)
    sized = all(image.get('width') and image.get('height') for image in images)
    step = math.ceil(len(images) / MAX_HEADERS) if sized and images else 1
    sizes = read_sizes(files[::step], split.source)
    wrong = []
    for image, (width, height) in zip(images[::step], sizes, strict=True):
        image['width'] = image.get('width') or width
        image['height'] = image.get('height') or height
        said = image['width'], image['height']
        if said != (width, height):
            wrong.append(
                f'{image["file_name"]} (says {said[0]}x{said[1]}, image '
                f'{width}x{height})'
            )
    if wrong:
        raise UserError(
            f'{split.source}: {len(wrong)} of {len(sizes)} images {WRONG_SIZE}: '
            f'{first_three(wrong)}'
        )
    if not sized:
        split.ann_file = None
