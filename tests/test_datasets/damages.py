"""Functions that damage a good data set; each is called with its folder."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

TRAIN = 'annotations/instances_train.json'
IMAGE = 'train/train_000002.jpg'
XML = 'Annotations/train_000003.xml'
LABELS = 'labels/train/train_000001.txt'
YOLO_IMAGE = 'images/train/train_000002.jpg'


# ------------------------------------------------------------------------------- COCO


def coco(change: Callable[[dict], object]) -> Callable[[Path], object]:
    """A function that changes the content of the train file."""

    def damage(root: Path) -> None:
        file = root / TRAIN
        content = json.loads(file.read_text())
        result = change(content)
        file.write_text(json.dumps(content if result is None else result))

    return damage


def first(part: str, **values) -> Callable[[Path], object]:
    """Sets keys of the first entry of a part; `...` deletes one."""

    def change(content: dict) -> None:
        for key, value in values.items():
            if value is ...:
                del content[part][0][key]
            else:
                content[part][0][key] = value

    return coco(change)


def text(file: str, content: str | bytes) -> Callable[[Path], object]:
    """A function that replaces a file."""
    data = content.encode() if isinstance(content, str) else content
    return lambda root: (root / file).write_bytes(data)


def annotation(**values) -> Callable[[Path], object]:
    return first('annotations', **values)


def mask(segmentation: object) -> Callable[[Path], object]:
    return first('annotations', segmentation=segmentation)


def cut(file: str, keep: float) -> Callable[[Path], object]:
    """Keeps a part of a file."""

    def damage(root: Path) -> None:
        data = (root / file).read_bytes()
        (root / file).write_bytes(data[: int(len(data) * keep)])

    return damage


def resized(file: str) -> Callable[[Path], object]:
    return lambda root: Image.new('RGB', (20, 30)).save(root / file)


def turned(file: str) -> Callable[[Path], object]:
    """An image with a tag that makes a viewer turn it."""

    def damage(root: Path) -> None:
        image = Image.open(root / file)
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(root / file, exif=exif)

    return damage


def as_png(keep: float) -> Callable[[Path], object]:
    """A PNG (under the name .jpg) that is cut off."""

    def damage(root: Path) -> None:
        Image.effect_noise((128, 96), 90).save(root / 'a.png')
        data = (root / 'a.png').read_bytes()
        (root / 'a.png').unlink()
        (root / IMAGE).write_bytes(data[: int(len(data) * keep)])

    return damage


def bomb(root: Path) -> None:
    """A PNG header that promises 60000 x 60000 pixels."""
    Image.new('L', (8, 8)).save(root / 'a.png')
    data = bytearray((root / 'a.png').read_bytes())
    (root / 'a.png').unlink()
    data[16:24] = (60000).to_bytes(4, 'big') * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    (root / IMAGE).write_bytes(data)


def linked(root: Path) -> None:
    """An image that is a link to one beside the data set."""
    outside = root.parent / 'outside.jpg'
    os.replace(root / IMAGE, outside)
    (root / IMAGE).symlink_to(outside)


def link_loop(root: Path) -> None:
    (root / IMAGE).unlink()
    (root / IMAGE).symlink_to(root / IMAGE)


def pipe(root: Path) -> None:
    (root / IMAGE).unlink()
    os.mkfifo(root / IMAGE)


def sparse(file: str, size: int) -> Callable[[Path], object]:
    """A file of `size` bytes that takes no space."""
    return lambda root: os.truncate(root / file, size)


def repeat(part: str, **values) -> Callable[[Path], object]:
    """Adds the first entry of a part again, with some other values."""
    return coco(lambda c: c[part].append({**c[part][0], **values}))


def copy_across(root: Path) -> None:
    """The first val image gets the content of the first train image."""
    data = (root / 'train/train_000000.jpg').read_bytes()
    (root / 'val/val_000000.jpg').write_bytes(data)


# -------------------------------------------------------------------------------- VOC


def xml(old: str, new: str) -> Callable[[Path], object]:
    """Replaces text of an annotation, the first time that it occurs."""

    def damage(root: Path) -> None:
        content = (root / XML).read_text()
        assert old in content
        (root / XML).write_text(content.replace(old, new, 1))

    return damage


def box(**corners) -> Callable[[Path], object]:
    """Adds an object with some corners."""
    values = {'xmin': 5, 'ymin': 5, 'xmax': 50, 'ymax': 50, **corners}
    tags = ''.join(f'<{k}>{v}</{k}>' for k, v in values.items())
    item = f'<object><name>circle</name><bndbox>{tags}</bndbox></object>'
    return xml('</annotation>', f'{item}</annotation>')


def listed(line: str) -> Callable[[Path], object]:
    """Adds a line to the list of the train split."""

    def damage(root: Path) -> None:
        with open(root / 'ImageSets/Main/train.txt', 'a') as file:
            file.write(f'{line}\n')

    return damage


# ------------------------------------------------------------------------------- YOLO


def line(content: str) -> Callable[[Path], object]:
    """Adds a line to a text file."""
    return lambda root: (root / LABELS).write_text(
        f'{(root / LABELS).read_text()}\n{content}\n'
    )


def data_yaml(content: str) -> Callable[[Path], object]:
    return text('data.yaml', content)


def without_yaml(root: Path, names: str | None) -> None:
    (root / 'data.yaml').unlink()
    if names is not None:
        (root / 'classes.txt').write_text(names)
