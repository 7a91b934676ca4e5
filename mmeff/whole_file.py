"""Files that are whole or not there, whenever the process that writes them dies."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = '.unfinished-'


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `path` if all goes well.

    It lies beside `path` and has its suffix. Its content is on the disk before the name
    is given, so that a crash of the machine leaves the old file or the new one. A killed
    process leaves what it had written, as `.unfinished-*`.

    Args:
        path: Its folder is made where there is none.

    Raises:
        OSError: The file cannot be written; the one of before is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    end = path.name[-40:]  # names have a greatest length
    unfinished = path.with_name(f'{UNFINISHED}{uuid.uuid4().hex[:12]}-{end}')
    try:
        yield unfinished
        with open(unfinished, 'r+b') as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        with suppress(OSError):
            unfinished.unlink()
