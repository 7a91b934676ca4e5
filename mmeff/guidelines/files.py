"""Write files whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmeff import whole_file as atomically
from mmeff.errors import UserError

FORMAT_VERSION = 1


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `path` if all goes well.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        with atomically.whole_file(path) as unfinished:
            yield unfinished
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror}') from error


def write_json(content: dict, path: str | Path) -> None:
    """Write numbers with a 'format_version'.

    It is not called 'schema_version': by that the report knows results of benchmarks.

    Args:
        content: Plain types only; a missing number is None, never NaN.
        path: Its folder is made when it does not exist.

    Raises:
        UserError: The file cannot be written.
    """
    content = {'format_version': FORMAT_VERSION, **content}
    text = json.dumps(content, indent=1, allow_nan=False)
    with whole_file(path) as unfinished:
        unfinished.write_text(f'{text}\n', 'utf-8')
