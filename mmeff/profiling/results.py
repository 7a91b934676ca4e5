"""One JSON file per run, the only way in which measurements leave the tools."""

import json
import os
import re
from pathlib import Path

from mmeff.errors import UserError

SCHEMA_VERSION = 1
# Keys of a result; 'metrics' says what each number is and in which unit by its name.
KEYS = (
    'schema_version',
    'config',
    'checkpoint',
    'checkpoint_sha256',
    'settings',
    'metrics',
    'samples',
    'environment',
)


def result_name(config: str, device: str, precision: str) -> str:
    """Name of a result's file: ``<config>__<device>__<precision>.json``.

    >>> result_name('vovnet39_maskrcnn', 'NVIDIA H100 80GB HBM3', 'fp32')
    'vovnet39_maskrcnn__nvidia-h100-80gb-hbm3__fp32.json'
    """
    slug = re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')
    return f'{config}__{slug}__{precision}.json'


def write_result(result: dict, folder: str | Path, name: str) -> Path:
    """Write a result whole or not at all; one of the same name is replaced.

    Args:
        result: All of `KEYS` but the schema version, of plain types; a missing
            number is None, never NaN.
        folder: Made when it does not exist.
        name: See `result_name`.

    Raises:
        UserError: The folder cannot be written to.
    """
    text = json.dumps(
        {'schema_version': SCHEMA_VERSION, **result}, indent=1, allow_nan=False
    )
    path = Path(folder) / name
    unfinished = path.with_name(f'.{name}.{os.getpid()}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text + '\n', 'utf-8')
        os.replace(unfinished, path)
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror}') from error
    return path


def read_result(path: str | Path) -> dict:
    """Read a result.

    Raises:
        UserError: No such file, no result of this tool, or of another schema version.
    """
    try:
        result = json.loads(Path(path).read_text('utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read the result {path}: {error}') from error
    found = result.get('schema_version') if isinstance(result, dict) else None
    if found != SCHEMA_VERSION:
        raise UserError(
            f'{path}: schema_version is {found}, expected {SCHEMA_VERSION}; measure again '
            'with this version of mmeff'
        )
    missing = [key for key in KEYS if key not in result]
    if missing:
        raise UserError(f'{path} is no complete result: {", ".join(missing)} missing')
    return result
