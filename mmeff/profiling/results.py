"""One JSON file per run, the only way in which measurements leave the tools."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mmeff.errors import UserError

SCHEMA_VERSION = 3
# Keys of a result; 'metrics' says what each number is and in which unit by its name.
KEYS = (
    'schema_version',
    'config',
    'config_sha256',
    'checkpoint',
    'checkpoint_sha256',
    'settings',
    'metrics',
    'parts',
    'layers',
    'roofline',
    'samples',
    'environment',
)
# Settings that are off by default: how the name of a file tells them.
OPTIONS = {
    'channels_last': 'channels-last',
    'fuse_conv_bn': 'fused',
    'compile': 'compiled',
}


def result_name(
    config: str, settings: Mapping, checkpoint_sha256: str | None = None
) -> str:
    """Name of a result's file, which tells it from all runs with other settings.

    >>> shape = {'image_shape': (320, 320), 'batch': 1}
    >>> result_name('net', {'device': 'NVIDIA L4', 'precision': 'fp32', **shape})
    'net__nvidia-l4__fp32__320x320_b1.json'

    Args:
        config: Name of the config.
        settings: Those of the result. What differs from the defaults is appended.
        checkpoint_sha256: Eight digits of it are appended, if there is one.
    """
    device = re.sub(r'[^a-z0-9]+', '-', settings['device'].lower()).strip('-')
    shape = 'x'.join(map(str, settings['image_shape']))
    parts = [config, device, settings['precision'], f'{shape}_b{settings["batch"]}']
    parts += [word for key, word in OPTIONS.items() if settings.get(key)]
    if settings.get('threads') is not None:
        parts.append(f't{settings["threads"]}')
    if settings.get('backend', 'mmdet') != 'mmdet':
        parts.append(settings['backend'])
    if checkpoint_sha256 is not None:
        parts.append(checkpoint_sha256[:8])
    return '__'.join(parts) + '.json'


def write_result(result: dict, folder: str | Path, name: str) -> Path:
    """Write a result whole or not at all; one of the same name is replaced.

    Args:
        result: Plain types only; a missing number is None, never NaN. The schema
            version is added; a benchmark has all of `KEYS`.
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
    finally:
        with suppress(OSError):
            unfinished.unlink()  # there if it was interrupted
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
    if found == 2 and isinstance(result.get('settings'), dict):
        # there was one backend only, and it was called torch
        result['settings']['backend'] = 'mmdet'
        found = result['schema_version'] = SCHEMA_VERSION
    if found != SCHEMA_VERSION:
        raise UserError(
            f'{path}: schema_version is {found}, expected {SCHEMA_VERSION}; measure again '
            'with this version of mmeff'
        )
    missing = [key for key in KEYS if key not in result]
    if missing:
        raise UserError(f'{path} is no complete result: {", ".join(missing)} missing')
    return result
