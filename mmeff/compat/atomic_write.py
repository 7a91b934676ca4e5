"""mmengine writes files in place, so a killed process leaves half a checkpoint.

Why: a checkpoint, or the `last_checkpoint` file that resume reads, cut in the middle of
a write cannot be resumed from.
Upstream: no thread found; `LocalBackend.put` of mmengine 0.10.7.
Delete when: mmengine writes to a temporary file and renames it.
"""

import os
import tempfile
from pathlib import Path


def _write(path: str | Path, data: bytes) -> None:
    """Write the whole file or nothing: to a neighbour first, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes private files
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def apply(module) -> None:
    def put(self, obj: bytes, filepath: str | Path) -> None:
        _write(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        _write(filepath, obj.encode(encoding))

    module.LocalBackend.put = put
    module.LocalBackend.put_text = put_text
