"""mmengine writes files in place, so a killed process leaves half of them.

Why: a checkpoint, the `last_checkpoint` file that resume reads, or the config of a run,
cut in the middle of a write, cannot be used. On a full disk the good one of before is
gone as well, and the message does not say how much room is needed.
Upstream: no thread found; `LocalBackend.put`, `CheckpointHook` and `Config.dump` of
mmengine 0.10.7.
Delete when: mmengine writes to a temporary file and renames it.
"""

import errno
import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mmeff.whole_file import whole_file

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MIB = 2**20


def _write(path: str | Path, data: bytes) -> None:
    """Write the whole file or nothing; a full disk is told in numbers."""
    try:
        with whole_file(path) as unfinished:
            unfinished.write_bytes(data)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        free = shutil.disk_usage(Path(path).parent).free
        text = (
            f'{os.strerror(error.errno)}: {len(data) / MIB:.1f} MiB are needed, '
            f'{free / MIB:.1f} MiB are free'
        )
        raise OSError(error.errno, text, str(path)) from error


@contextmanager
def _open_whole(path: str | Path, mode: str, **kwargs) -> Iterator[IO]:
    with whole_file(path) as unfinished, open(unfinished, mode, **kwargs) as file:
        yield file
        file.flush()


def _open(path, mode: str = 'r', **kwargs):
    """`open`, but what is written appears as a whole when the file is closed."""
    return (_open_whole if mode == 'w' else open)(path, mode, **kwargs)


def _mend_backend(backend: type) -> None:
    def put(self, obj: bytes, filepath: str | Path) -> None:
        _write(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        _write(filepath, obj.encode(encoding))

    backend.put = put
    backend.put_text = put_text


def _mend_config(config: type) -> None:
    original = config.dump

    @functools.wraps(original)
    def dump(self, file: str | Path | None = None) -> str | None:
        if file is None:
            return original(self)
        with whole_file(file) as unfinished:
            return original(self, str(unfinished))

    config.dump = dump


def apply(module) -> None:
    if hasattr(module, 'LocalBackend'):
        _mend_backend(module.LocalBackend)
    elif hasattr(module, 'CheckpointHook'):
        module.open = _open  # found before the built-in one
    else:
        _mend_config(module.Config)
