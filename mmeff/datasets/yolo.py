"""Read the YOLO layout: one text file per image, a line per object.

A line is `class cx cy width height` (a box) or `class x1 y1 x2 y2 x3 y3 ...` (a
polygon), all as parts of the image size. Known forms: a `data.yaml` with `names` and
`train`/`val`/`test`; `images/{train,val,test}` with `labels/...`;
`{train,valid,test}/images` with `.../labels`; `images` and `labels`; images and text
files in one folder. Without a yaml file the names stand in `classes.txt`.
"""

import math
import os
from pathlib import Path

import yaml

from mmeff.datasets.files import (
    OUTSIDE,
    UNREADABLE,
    first_three,
    index_images,
    is_image,
    require_files,
    require_inside,
    require_regular,
)
from mmeff.datasets.findings import STRICT, Defect, Strict
from mmeff.datasets.image_files import read_sizes
from mmeff.datasets.raw import SPLIT_FOLDERS, SPLITS, Instance, Picture, RawData
from mmeff.datasets.rules import brief
from mmeff.errors import UserError, escape

NAME_FILES = ('classes.txt', 'labels/classes.txt', 'obj.names')
# Coordinates this far outside of the image are rounding; more is another format.
TOLERANCE = 0.01
MAX_YAML_BYTES = 2**20
BAD_LINE = 'bad line'


def read_yolo(root: Path, found: Strict = STRICT) -> RawData | None:
    """Read a folder in YOLO layout; None when it has no YOLO annotation.

    Objects without area are left out and counted. An image without text file is a
    picture of background.

    Raises:
        UserError: There are no class names; and from `found`: a file is missing,
            unreadable or outside of the folder, a line is in another format, a class has
            no name, or a split has no text file at all.
    """
    raw = RawData('YOLO', {})
    file, content = _find_yaml(root, found)
    if file is not None:
        source, names = file, _names(file, content['names'])
        images = _from_yaml(root, file, content, raw, found)
    else:
        images = _from_folders(root)
        if not images:
            return None
        source, names = _find_names(root)
    for split, files in images.items():
        pictures = _read_split(split, files, names, source, found)
        raw.add_split(split, pictures, names, source)
    return raw


# -------------------------------------------------------------------------- the places


def _find_yaml(root: Path, found: Strict) -> tuple[Path | None, dict]:
    """The yaml file that names classes and a split, and its content."""
    files = sorted([*root.glob('[!.]*.yaml'), *root.glob('[!.]*.yml')])
    for file in sorted(files, key=lambda file: file.stem not in ('data', 'dataset')):
        content = _read_yaml(file, found)
        if (
            isinstance(content, dict)
            and 'names' in content
            and set(content) & {*SPLITS}
        ):
            return file, content
    return None, {}


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, with which a small file can stand for an endless one."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError('an alias (*name), which is not accepted')
        return super().compose_node(parent, index)


def _read_yaml(file: Path, found: Strict) -> object:
    try:
        require_regular(file)
        if file.stat().st_size > MAX_YAML_BYTES:
            raise ValueError('more than 1 MiB')
        return yaml.load(file.read_text(encoding='utf-8'), _PlainLoader)
    # wrong tags and endless nesting make yaml raise more than its own errors
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        yaml.YAMLError,
    ) as error:
        reason = f'cannot be read as yaml ({error})'
        found.refuse(
            f'{file}: {escape(reason)}; expected names, train, val',
            Defect(UNREADABLE, str(file), '', reason),
        )
        return None


def _names(file: Path, names: object) -> list[str]:
    """Class names of a yaml file: a list, or a dictionary by number."""
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise UserError(
                f'{file}: the keys of names are {escape(str(list(names)[:20]))}; expected '
                '0, 1, 2, ...'
            )
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(
            f'{file}: names is {brief(names)}; expected a list of class names'
        )
    for name in names:
        if not isinstance(name, str | int | float) or not str(name).strip():
            raise UserError(f'{file}: a name is {brief(name)}; expected text')
    return [str(name) for name in names]


def _from_yaml(
    root: Path, file: Path, content: dict, raw: RawData, found: Strict
) -> dict[str, list[Path]]:
    """The images of each split."""
    images = {}
    for split in SPLITS:
        entries = content.get(split)
        entries = entries if isinstance(entries, list) else [entries]
        entries = [entry for entry in entries if entry]
        if not entries:
            continue
        if not all(isinstance(entry, str) for entry in entries):
            raise UserError(
                f'{file}: {split} is {brief(entries)}; expected the name of a folder or '
                'of a list of images'
            )
        places = [_resolve(file, content, entry) for entry in entries]
        if split != 'train' and None in places:
            raw.notes.append(f'{file}: {split} ({entries}) does not exist, left out')
        elif None in places:
            raise UserError(
                f'{file}: train ({entries}) does not exist; expected folders of '
                f'images or lists of them, relative to {file.parent}'
            )
        else:
            images[split] = [
                image
                for place in places
                for image in _images_at(root, place, file, found)
            ]
    return {split: files for split, files in images.items() if files}


def _resolve(file: Path, content: dict, entry: str) -> Path | None:
    """Where an entry of the yaml file is; exporters disagree on what it relates to."""
    path = content.get('path')
    base = file.parent / path if isinstance(path, str) else file.parent
    # Roboflow writes ../train/images for the train/images beside the yaml file.
    inside = Path(*(part for part in Path(entry).parts if part != '..'))
    for name in (inside, entry):
        for place in (base / name, file.parent / name):
            if os.path.isdir(place) or os.path.isfile(place):
                return Path(os.path.abspath(place))
    return None


def _images_at(root: Path, place: Path, source: Path, found: Strict) -> list[Path]:
    """Images below a folder, or those that a text file lists."""
    if place.is_dir():
        if place in root.parents:
            reason = f'{place} contains the data folder'
            found.refuse(
                f'{source}: {reason}; expected a folder in it',
                Defect(OUTSIDE, str(source), '', reason),
            )
            return []
        images = sorted(filter(is_image, place.rglob('*')))
    else:
        lines = place.read_text(encoding='utf-8', errors='replace').splitlines()
        names = [line.strip() for line in lines if line.strip()]
        images = [Path(os.path.normpath(place.parent / name)) for name in names]
        inside = require_inside(images, [place.parent, root], place, found)
        images = [image for image, is_in in zip(images, inside, strict=True) if is_in]
    if not images:
        raise UserError(f'{source}: no image in {place}; expected at least one')
    return images


def _from_folders(root: Path) -> dict[str, list[Path]]:
    """Images of each split where no yaml file tells."""
    images = {}
    for split, folders in SPLIT_FOLDERS.items():
        for folder in folders:
            for place in (root / 'images' / folder, root / folder / 'images'):
                found = list(index_images([place]).values())
                if found and _label_file(found[0]).parent.is_dir():
                    images[split] = found
    if images:
        return images
    for place in (root / 'images', root):
        found = list(index_images([place]).values())
        if any(_label_file(file).is_file() for file in found):
            return {'train': found}
    return {}


def _find_names(root: Path) -> tuple[Path, list[str]]:
    for place in NAME_FILES:
        file = root / place
        if file.is_file():
            lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
            return file, [line.strip() for line in lines if line.strip()]
    raise UserError(
        f'{root}: YOLO text files, but no class names; looked for data.yaml (with '
        f'names, train, val) and {", ".join(NAME_FILES)}; write one name a line into '
        'classes.txt, class 0 first'
    )


def _label_file(image: Path) -> Path:
    """`.../images/train/a.jpg` -> `.../labels/train/a.txt`, else the text file beside."""
    parts = list(image.parts)
    if 'images' in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index('images')
        parts[last] = 'labels'
    return Path(*parts).with_suffix('.txt')


# ------------------------------------------------------------------------- the content


def _read_split(
    split: str, files: list[Path], names: list[str], source: Path, found: Strict
) -> list[Picture]:
    """Read all text files of a split."""
    require_files(files, source, found)
    labels = [_label_file(file) for file in files]
    if not any(os.path.isfile(label) for label in labels):
        reason = f'none of the {len(files)} {split} images has a text file'
        found.refuse(
            f'{source}: {reason}; looked for '
            f'{first_three([str(label) for label in labels])}; expected them in labels/ '
            'beside images/, or beside the images',
            Defect('missing annotations', str(source), split, reason),
        )
    sizes = read_sizes(files, source, found)
    return [
        Picture(
            file,
            size or (1, 1),
            _read_labels(label, names, size or (1, 1), found),
            label,
            usable=size is not None,
        )
        for file, label, size in zip(files, labels, sizes, strict=True)
    ]


def _read_labels(
    file: Path, names: list[str], size: tuple, found: Strict
) -> list[Instance]:
    """Objects of one text file; none when there is no file."""
    if not os.path.isfile(file):
        return []
    lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
    instances = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f'line {number}'
        try:
            label, values = _read_line(line, len(names))
        except ValueError as error:
            found.refuse(
                f'{file}, {place}: {error}',
                Defect(BAD_LINE, str(file), place, str(error)),
            )
            continue
        if _reaches_out(values):
            reason = f'the box {escape(line.strip()[:60])} reaches out of the image'
            found.note('box outside the image', file, place, reason)
        instances.append(_to_pixels(names[label], values, size, place))
    return instances


def _read_line(line: str, num_names: int) -> tuple[int, list[float]]:
    """Class and coordinates of one object, as parts of the image size.

    Raises:
        ValueError: The line is in another format; says what was found and expected.
    """
    try:
        label, *values = [float(word) for word in line.split()]
    except ValueError:
        values = []
    shown = escape(line.strip()[:60])
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise ValueError(
            f'"{shown}"; expected `class cx cy width height` or '
            '`class x1 y1 x2 y2 x3 y3 ...`'
        )
    if not (0 <= label < num_names and label.is_integer()):
        raise ValueError(
            f'class {label:g}, but there are names for 0 to {num_names - 1} only; add the '
            'name, or mend the line'
        )
    if not all(
        -TOLERANCE <= value <= 1 + TOLERANCE or math.isnan(value) for value in values
    ):
        raise ValueError(
            f'"{shown}"; expected coordinates from 0 to 1, as parts of the image width '
            'and height'
        )
    return int(label), values


def _reaches_out(values: list[float]) -> bool:
    """True for a box (centre, width, height) over the border by more than rounding."""
    if len(values) != 4:
        return False
    cx, cy, width, height = values
    least = min(cx - width / 2, cy - height / 2)
    most = max(cx + width / 2, cy + height / 2)
    return least < -TOLERANCE or most > 1 + TOLERANCE


def _to_pixels(
    name: str, values: list[float], size: tuple[int, int], place: str
) -> Instance:
    """Box (4 values) or polygon in pixels, cut off at the border of the image."""
    if any(map(math.isnan, values)):
        return Instance(name, (math.nan,) * 4, place=place)
    is_box = len(values) == 4
    if is_box:
        cx, cy, width, height = values
        values = [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2]
    inside = [min(max(value, 0.0), 1.0) for value in values]
    pixels = tuple(round(v * size[i % 2], 3) for i, v in enumerate(inside))
    x, y = pixels[0::2], pixels[1::2]
    box = (min(x), min(y), max(x), max(y))
    return Instance(name, box, None if is_box else pixels, place=place)
