"""Files of a data set: finding images, reading their sizes, writing annotations."""

import json
import os
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mmeff.errors import UserError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
EXIF_ORIENTATION = 0x0112
NUM_THREADS = 8
WRONG_SIZE = (
    'give another width x height than the image has when it is loaded (EXIF turn '
    'included), so the boxes would lie in the wrong place; annotate these images anew, '
    'or save them unturned'
)


def is_image(file: Path) -> bool:
    """True for the name of a picture; hidden files (`._a.jpg`) do not count."""
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith('.')


def index_images(folders: Iterable[Path]) -> dict[str, Path]:
    """Images that lie directly in the folders, by name without suffix, sorted.

    Where two folders hold the same name, the folder named first wins.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            for file in sorted(filter(is_image, folder.iterdir())):
                found.setdefault(file.stem, file)
    return found


def require_files(files: Sequence[Path], source: Path) -> None:
    """Check that all images are there.

    Args:
        files: Image files.
        source: The annotation file or folder that names them, for the message.

    Raises:
        UserError: Some are missing; gives the count and the first three.
    """
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise UserError(
            f'{source}: {len(missing)} of {len(files)} images are missing: '
            f'{first_three(missing)}; copy them to these places, or take them out of '
            'the annotations'
        )


def read_sizes(files: Sequence[Path], source: Path) -> list[tuple[int, int]]:
    """Read (width, height) of each image from its header, as a detector sees it.

    A picture that its EXIF tag turns by 90 degrees is loaded turned by OpenCV, so
    its width and height are swapped here too.

    Args:
        files: Image files, which must exist.
        source: The annotation file or folder that names them, for the message.

    Raises:
        UserError: Some cannot be read; gives the count and the first three.
    """
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        sizes = list(pool.map(_read_size, files))
    broken = [
        f'{file} ({size})'
        for file, size in zip(files, sizes, strict=True)
        if isinstance(size, str)
    ]
    if broken:
        raise UserError(
            f'{source}: {len(broken)} of {len(files)} images cannot be read: '
            f'{first_three(broken)}; replace them, or take them out of the annotations'
        )
    return sizes


def _read_size(file: Path) -> tuple[int, int] | str:
    """(width, height), or the reason why there is none."""
    if file.stat().st_size == 0:
        return 'empty file'
    try:
        with Image.open(file) as image:
            turned = image.getexif().get(EXIF_ORIENTATION, 1) >= 5
            width, height = image.size
    except UnidentifiedImageError:
        return 'no image format that PIL knows'
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return str(error)
    return (height, width) if turned else (width, height)


def first_three(names: Sequence[str]) -> str:
    """The first three names, and dots when there are more."""
    return ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')


def read_json(file: Path) -> object:
    """Read a json file.

    Raises:
        UserError: The file cannot be read, or is no json.
    """
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f'{file}: cannot be read as json ({error}); expected a complete COCO '
            'annotation file, copy or export it again'
        ) from error


def write_json(file: Path, content: dict) -> None:
    """Write a json file that is either complete or not there (atomic replace)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f'.{file.name}-{uuid.uuid4().hex[:12]}')
    try:
        unfinished.write_text(json.dumps(content))
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)
