"""Which checkpoint of a work dir a training goes on from."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from mmeff.whole_file import UNFINISHED

LAST = 'last_checkpoint'  # mmengine writes the newest one's path to it
INTERRUPTED = 'interrupted.pth'
PATTERNS = ('epoch_*.pth', 'iter_*.pth', INTERRUPTED)


def newest_whole(work_dir: str | Path) -> tuple[Path | None, list[Path]]:
    """The newest checkpoint to resume from, and the newer ones that are damaged."""
    damaged = []
    for path in _newest_first(Path(work_dir)):
        if is_whole(path):
            return path, damaged
        damaged.append(path)
    return None, damaged


def is_whole(path: Path) -> bool:
    """Whether a file of `torch.save` has all its bytes, by the checksums in it."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False


def remove_unfinished(work_dir: str | Path) -> None:
    """Delete checkpoints that a killed training was writing.

    They are as large as whole ones. What other tools leave is small, and one of them may
    be at work.
    """
    for path in Path(work_dir).glob(f'{UNFINISHED}*.pth'):
        path.unlink(missing_ok=True)


def last_named(work_dir: str | Path) -> Path | None:
    """The checkpoint that `last_checkpoint` names, in its folder of today."""
    try:
        name = Path((Path(work_dir) / LAST).read_text('utf-8').strip()).name
    except (OSError, UnicodeDecodeError):
        return None
    path = Path(work_dir) / name
    return path if path.is_file() else None


def _newest_first(work_dir: Path) -> Iterator[Path]:
    """What `last_checkpoint` names, then the others by the time of their writing.

    By time and not by number: a folder can hold those of an earlier, longer training.
    """
    last = last_named(work_dir)
    if last is not None:
        yield last
    found = {path for pattern in PATTERNS for path in work_dir.glob(pattern)} - {last}
    yield from sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
