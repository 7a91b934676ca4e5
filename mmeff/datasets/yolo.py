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
    first_three,
    index_images,
    is_image,
    read_sizes,
    require_files,
)
from mmeff.datasets.raw import SPLIT_FOLDERS, SPLITS, Instance, Picture, RawData
from mmeff.errors import UserError

NAME_FILES = ('classes.txt', 'labels/classes.txt', 'obj.names')
# Coordinates this far outside of the image are rounding; more is another format.
TOLERANCE = 0.01


def read_yolo(root: Path) -> RawData | None:
    """Read a folder in YOLO layout; None when it has no YOLO annotation.

    Objects without area are left out and counted. An image without text file is a
    picture of background.

    Raises:
        UserError: A file is missing or unreadable, a line is in another format, a
            class has no name, or a split has no text file at all.
    """
    raw = RawData('YOLO', {})
    file = _find_yaml(root)
    if file is not None:
        source, (names, images) = file, _from_yaml(file, raw)
    else:
        images = _from_folders(root)
        if not images:
            return None
        source, names = _find_names(root)
    for split, files in images.items():
        pictures = _read_split(split, files, names, source)
        raw.add_split(split, pictures, names, source)
    return raw


# -------------------------------------------------------------------------- the places


def _find_yaml(root: Path) -> Path | None:
    """The yaml file that names classes and a split."""
    files = sorted([*root.glob('[!.]*.yaml'), *root.glob('[!.]*.yml')])
    for file in sorted(files, key=lambda file: file.stem not in ('data', 'dataset')):
        content = _read_yaml(file)
        if (
            isinstance(content, dict)
            and 'names' in content
            and set(content) & {*SPLITS}
        ):
            return file
    return None


def _read_yaml(file: Path) -> object:
    try:
        return yaml.safe_load(file.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            f'{file}: cannot be read as yaml ({error}); expected names, train, val'
        ) from error


def _from_yaml(file: Path, raw: RawData) -> tuple[list[str], dict[str, list[Path]]]:
    """Class names, and the images of each split."""
    content = _read_yaml(file)
    names = content['names']
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise UserError(
                f'{file}: the keys of names are {sorted(names)}; expected 0, 1, 2, ...'
            )
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f'{file}: names is {names!r}; expected a list of class names')
    images = {}
    for split in SPLITS:
        entries = content.get(split)
        entries = entries if isinstance(entries, list) else [entries]
        found = [_resolve(file, content, str(entry)) for entry in entries if entry]
        if split != 'train' and None in found:
            raw.notes.append(f'{file}: {split} ({entries}) does not exist, left out')
        elif None in found:
            raise UserError(
                f'{file}: train ({entries}) does not exist; expected folders of '
                f'images or lists of them, relative to {file.parent}'
            )
        elif found:
            images[split] = [i for place in found for i in _images_at(place, file)]
    return [str(name) for name in names], images


def _resolve(file: Path, content: dict, entry: str) -> Path | None:
    """Where an entry of the yaml file is; exporters disagree on what it relates to."""
    base = file.parent / str(content.get('path') or '')
    # Roboflow writes ../train/images for the train/images beside the yaml file.
    inside = Path(*(part for part in Path(entry).parts if part != '..'))
    for name in (inside, entry):
        for place in (base / name, file.parent / name):
            if place.exists():
                return Path(os.path.abspath(place))
    return None


def _images_at(place: Path, source: Path) -> list[Path]:
    """Images below a folder, or those that a text file lists."""
    if place.is_dir():
        found = sorted(filter(is_image, place.rglob('*')))
    else:
        lines = place.read_text(encoding='utf-8', errors='replace').splitlines()
        found = [place.parent / line.strip() for line in lines if line.strip()]
    if not found:
        raise UserError(f'{source}: no image in {place}; expected at least one')
    return found


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
    split: str, files: list[Path], names: list[str], source: Path
) -> list[Picture]:
    """Read all text files of a split."""
    require_files(files, source)
    labels = [_label_file(file) for file in files]
    if not any(label.is_file() for label in labels):
        raise UserError(
            f'{source}: none of the {len(files)} {split} images has a text file; '
            f'looked for {first_three([str(label) for label in labels])}; expected '
            'them in labels/ beside images/, or beside the images'
        )
    return [
        Picture(file, size, _read_labels(label, names, size))
        for file, label, size in zip(
            files, labels, read_sizes(files, source), strict=True
        )
    ]


def _read_labels(file: Path, names: list[str], size: tuple) -> list[Instance]:
    """Objects of one text file; none when there is no file."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
    return [
        _read_line(f'{file}, line {number}', line, names, size)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _read_line(where: str, line: str, names: list[str], size: tuple) -> Instance:
    """One object in pixels, cut off at the border of the image."""
    try:
        label, *values = [float(word) for word in line.split()]
    except ValueError:
        values = []
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise UserError(
            f'{where}: "{line.strip()[:60]}"; expected `class cx cy width height` or '
            '`class x1 y1 x2 y2 x3 y3 ...`'
        )
    if not (0 <= label < len(names) and label.is_integer()):
        raise UserError(
            f'{where}: class {label:g}, but there are names for 0 to {len(names) - 1} '
            'only; add the name, or mend the line'
        )
    name = names[int(label)]
    if any(math.isnan(value) for value in values):
        return Instance(name, (math.nan,) * 4)
    if not all(-TOLERANCE <= value <= 1 + TOLERANCE for value in values):
        raise UserError(
            f'{where}: "{line.strip()[:60]}"; expected coordinates from 0 to 1, as '
            'parts of the image width and height'
        )
    return _to_pixels(name, values, size)


def _to_pixels(name: str, values: list[float], size: tuple[int, int]) -> Instance:
    """Box (4 values) or polygon, from parts of the image to pixels."""
    is_box = len(values) == 4
    if is_box:
        cx, cy, width, height = values
        values = [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2]
    inside = [min(max(value, 0.0), 1.0) for value in values]
    pixels = tuple(round(v * size[i % 2], 3) for i, v in enumerate(inside))
    x, y = pixels[0::2], pixels[1::2]
    box = (min(x), min(y), max(x), max(y))
    return Instance(name, box, None if is_box else pixels)
