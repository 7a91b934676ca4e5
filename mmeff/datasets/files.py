"""Files of a data set: finding images, reading their sizes, writing annotations."""

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec
import psutil

from mmeff.datasets.findings import STRICT, Defect, Strict
from mmeff.errors import UserError, escape
from mmeff.whole_file import whole_file

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
MAX_JSON_BYTES = 2 * 2**30
# Memory of what each of these in a json text makes at most, in bytes.
MEMORY_OF = {b'{': 200, b'[': 80, b',': 40, b':': 40, b'"': 12}
UNREADABLE, OUTSIDE = 'unreadable annotations', 'path outside the folder'
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


def require_files(
    files: Sequence[Path],
    source: Path,
    found: Strict = STRICT,
    places: Sequence[str] | None = None,
) -> None:
    """Check that all images are there.

    Args:
        files: Image files.
        source: The annotation file or folder that names them, for the message.
        found: Is told the missing ones.
        places: Where in `source` each is named.

    Raises:
        UserError: From `found`: some are missing; gives the count and the first three.
    """
    missing = [i for i, file in enumerate(files) if not os.path.isfile(file)]
    if missing:
        found.refuse(
            f'{source}: {len(missing)} of {len(files)} images are missing: '
            f'{first_three([str(files[i]) for i in missing])}; copy them to these '
            'places, or take them out of the annotations',
            *(
                Defect(
                    'missing image',
                    str(source),
                    places[i] if places else '',
                    f'{files[i]} does not exist',
                )
                for i in missing
            ),
        )


def require_inside(
    files: Sequence[Path],
    roots: Sequence[Path],
    source: Path,
    found: Strict = STRICT,
    places: Sequence[str] | None = None,
) -> list[bool]:
    """Check that no name leads out of the data, by `..`, from `/` or over a link.

    Only a thorough `found` is told links, and only those of files: a folder that is a
    link is a common way to store data elsewhere.

    Args:
        files: Image files, as the annotations name them.
        roots: Absolute folders below which they must lie.
        source: The annotation file or folder that names them, for the message.
        found: Is told those that lie outside.
        places: Where in `source` each is named.

    Returns:
        For each file: its name stays inside.

    Raises:
        UserError: From `found`; gives the count and the first three.
    """
    starts = tuple(os.path.join(os.path.normpath(root), '') for root in roots)
    inside = [os.path.normpath(file).startswith(starts) for file in files]
    outside = [i for i, is_inside in enumerate(inside) if not is_inside]
    if outside:
        found.refuse(
            f'{source}: {len(outside)} of {len(files)} names lead out of the folder: '
            f'{first_three([str(files[i]) for i in outside])}; move the files into '
            f'{roots[0]}, and write names relative to it',
            *(
                Defect(
                    OUTSIDE,
                    str(source),
                    places[i] if places else '',
                    f'{files[i]} is not in {roots[0]}',
                )
                for i in outside
            ),
        )
    if found.thorough:
        _note_links(files, roots, found)
    return inside


def _note_links(files: Sequence[Path], roots: Sequence[Path], found: Strict) -> None:
    real = tuple(os.path.join(os.path.realpath(root), '') for root in roots)
    for file in files:
        if os.path.islink(file):
            target = os.path.realpath(file)
            if not target.startswith(real):
                found.note(OUTSIDE, file, '', f'is a link to {target}')


def first_three(names: Sequence[str]) -> str:
    """The first three names, and dots when there are more."""
    return escape(', '.join(names[:3])) + (', ...' if len(names) > 3 else '')


def read_json(file: Path, found: Strict = STRICT) -> object:
    """Read a json file; None for one that cannot be read.

    Raises:
        UserError: From `found`: the file cannot be read, is larger than 2 GiB, or is no
            json.
    """
    try:
        require_regular(file)
        size = file.stat().st_size
        if size > MAX_JSON_BYTES:
            raise ValueError(
                f'{size / 2**30:.1f} GiB, which would fill the memory; at most '
                f'{MAX_JSON_BYTES / 2**30:.0f} GiB are read, divide the file'
            )
        data = file.read_bytes()
        _require_memory(data)
        return parse_json(data)
    except MemoryError:
        reason = 'cannot be read as json (there is not enough memory)'
    except (OSError, ValueError, RecursionError) as error:
        reason = f'cannot be read as json ({error})'
    found.refuse(
        f'{file}: {reason}; expected a complete COCO annotation file, copy or export '
        'it again',
        Defect(UNREADABLE, str(file), '', reason),
    )
    return None


def require_regular(file: Path) -> None:
    """Check that it is a file, and no pipe or device that never ends.

    Raises:
        ValueError: It is something else.
    """
    if file.exists() and not file.is_file():
        raise ValueError('it is no regular file')


def _require_memory(data: bytes) -> None:
    """Check that the content of a json text fits into the memory that is free.

    Raises:
        ValueError: It might not.
    """
    needed = sum(data.count(char) * size for char, size in MEMORY_OF.items())
    free = psutil.virtual_memory().available
    if needed > free:
        raise ValueError(
            f'its content takes up to {needed / 2**30:.1f} GiB of memory, '
            f'{free / 2**30:.1f} GiB are free'
        )


def parse_json(data: bytes) -> object:
    """Content of a json text; NaN and Infinity are accepted, as Python's json does.

    Raises:
        ValueError: It is no json.
        RecursionError: It is nested without end.
    """
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return json.loads(data)


def write_json(file: Path, content: dict) -> None:
    """Write a json file that is either complete or not there (atomic replace)."""
    with whole_file(file) as unfinished:
        unfinished.write_text(json.dumps(content))


def link_or_copy(file: Path, new: Path) -> None:
    """Hard link, so that an image is stored once; a copy where links fail.

    Of a symbolic link, the file that it leads to. Folders are made.
    """
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(os.path.realpath(file), new)
    except OSError:
        shutil.copyfile(file, new)


def free_name(name: str, taken: set[str]) -> str:
    """A name that is not taken yet, and is taken then.

    Args:
        name: Path below a folder; of one that leads out of it, the last part is used.
        taken: Names in use; the new one is added.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or '..' in path.parts:
        path = PurePosixPath(path.name)
    new, number = str(path), 1
    while new in taken:
        number += 1
        new = str(path.with_name(f'{path.stem}_{number}{path.suffix}'))
    taken.add(new)
    return new


def require_apart(folder: Path, original: Path) -> None:
    """Check that a copy is not written into the original.

    Raises:
        UserError: `folder` is `original`, or lies in it.
    """
    if folder.resolve().is_relative_to(original.resolve()):
        raise UserError(f'{folder}: lies in {original}, which is not to be changed')


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into that gets its name when all is written.

    Args:
        folder: Its name; nothing or an empty folder may be there.

    Raises:
        UserError: Something is there already, or the folder cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f'{folder}: exists; nothing is overwritten, name a new folder')
    unfinished = folder.with_name(f'.{uuid.uuid4().hex[:12]}')
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.is_dir():
            folder.rmdir()
        unfinished.rename(folder)
    except OSError as error:
        raise UserError(f'{folder}: cannot be written ({error})') from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
