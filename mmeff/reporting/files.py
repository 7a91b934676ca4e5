"""Find result files, and say of each file that cannot be used why."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmeff.errors import UserError
from mmeff.profiling.results import SCHEMA_VERSION, read_result

MARK = b'"schema_version"'  # no other JSON file that lies in a work dir has it
EVALUATION_KEYS = ('config', 'checkpoint', 'checkpoint_sha256', 'metrics')
MAX_DEPTH = 20
MAX_BATCH = 10**9
MAX_BYTES = 64 * 2**20  # a benchmark with all its layers has less than one
# An evaluation has meant the same since version 1, and takes long to repeat.
EVALUATION_VERSIONS = range(1, SCHEMA_VERSION + 1)


@dataclass
class Results:
    """Contents of files, each beside its path, and what there is to say of others."""

    benchmarks: list[tuple[Path, dict]] = field(default_factory=list)
    evaluations: list[tuple[Path, dict]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_files(paths: Sequence[str | Path]) -> Results:
    """Read result files, and all result files below folders.

    A file that is broken, unfinished, of another version or no result at all is left
    out, and `warnings` has its name and the reason.

    Args:
        paths: Files of `tools/benchmark.py` and `tools/test.py`, or folders.

    Raises:
        UserError: A path does not exist, or none of the files can be used.
    """
    results, seen = Results(), set()
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f'{path}: no such file or folder')
        foreign = []
        files = sorted(path.rglob('*.json')) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and file.resolve() not in seen:
                seen.add(file.resolve())
                foreign += [] if _read_into(results, file) else [file]
        if foreign:
            results.warnings.append(_left_out(foreign))
    if not results.benchmarks and not results.evaluations:
        where = ', '.join(map(str, paths))
        what = f'no results of tools/benchmark.py or tools/test.py in {where}'
        raise UserError('; '.join([what, *results.warnings]))
    return results


def _left_out(files: list[Path]) -> str:
    names = ', '.join(map(str, files))
    if len(files) == 1:
        return f'{names}: left out, no result of benchmark or test'
    return f'{len(files)} files left out, no results of benchmark or test: {names}'


def _read_into(results: Results, path: Path) -> bool:
    """Add a file to the results or to the warnings; False if it is another's file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f'{path}: larger than {MAX_BYTES >> 20} MiB')
        data = path.read_bytes()
        if MARK not in data:
            return False
        content = json.loads(data)
        _check_depth(content)
        if isinstance(content, dict) and 'settings' in content:
            _check_benchmark(path, content := read_result(path))
            results.benchmarks.append((path, content))
        else:
            _check_evaluation(path, content)
            results.evaluations.append((path, content))
    except OSError as error:
        results.warnings.append(f'{path}: left out, {error.strerror}')
    except (ValueError, RecursionError) as error:
        results.warnings.append(f'{path}: left out, broken or cut off ({error})')
    except UserError as error:
        results.warnings.append(f'left out: {error}')
    return True


def _check_depth(content: object) -> None:
    """Refuse what is nested deeper than any result, which Python could not walk through.

    Raises:
        ValueError: It is.
    """
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(MAX_DEPTH):
        values = [v.values() if isinstance(v, dict) else v for v in level]
        level = [x for each in values for x in each if isinstance(x, dict | list)]
    if level:
        raise ValueError(f'nested more than {MAX_DEPTH} deep')


def _check_evaluation(path: Path, content: object) -> None:
    """Refuse what is no evaluation, of another version, or has missing keys."""
    version = content.get('schema_version') if isinstance(content, dict) else None
    if version not in EVALUATION_VERSIONS:
        raise UserError(
            f'{path}: schema_version is {version}, expected {SCHEMA_VERSION}; evaluate '
            'again with this version of mmeff'
        )
    missing = [key for key in EVALUATION_KEYS if key not in content]
    if missing:
        raise UserError(f'{path} is no complete result: {", ".join(missing)} missing')
    if not _has_identity(content) or content['checkpoint_sha256'] is None:
        raise UserError(
            f'{path} is no complete result: expected names as config and '
            'checkpoint_sha256, and an object as metrics'
        )


def _check_benchmark(path: Path, content: dict) -> None:
    """Refuse a benchmark that lacks what tells it from others."""
    settings = content['settings']
    good = (
        _has_identity(content)
        and isinstance(settings, dict)
        and isinstance(content['environment'], dict)
        and all(isinstance(settings.get(key), str) for key in ('device', 'precision'))
        and isinstance(settings.get('batch'), int)
        and 1 <= settings['batch'] <= MAX_BATCH
        and isinstance(settings.get('image_shape'), list)
    )
    if not good:
        raise UserError(
            f'{path} is no complete result: expected config, checkpoint_sha256, metrics, '
            'environment, and settings with device, precision, batch and image_shape'
        )


def _has_identity(content: dict) -> bool:
    return (
        isinstance(content['config'], str)
        and isinstance(content['checkpoint_sha256'], str | None)
        and isinstance(content['metrics'], dict)
    )
