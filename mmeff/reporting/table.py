"""Join evaluations and benchmarks of the same weights into one table."""

import json
from pathlib import Path

from rich.table import Table

from mmeff.errors import UserError

# column: (where to look, factor, digits); accuracies are 0 to 1 in files, 0 to 100 here
COLUMNS = {
    'box AP': ('coco/bbox_mAP', 100, 1),
    'box AP50': ('coco/bbox_mAP_50', 100, 1),
    'mask AP': ('coco/segm_mAP', 100, 1),
    'mask AP50': ('coco/segm_mAP_50', 100, 1),
    'VOC AP50': ('pascal_voc/mAP', 100, 1),
    'params (M)': ('params_m', 1, 2),
    'GMACs': ('macs_g', 1, 2),
    'forward (ms)': ('latency_forward_ms', 1, 1),
    'detect (ms)': ('latency_detect_ms', 1, 1),
    'FPS': ('fps', 1, 1),
}


def read_results(paths: list[str | Path]) -> list[dict]:
    """Read result files, or all result files below folders.

    Args:
        paths: JSON files of `tools/test.py` and `tools/benchmark.py`, or folders.

    Raises:
        UserError: A path does not exist, is no result, or nothing was found.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            results = (_read(file) for file in sorted(path.rglob('*.json')))
            found += [result for result in results if result is not None]
        elif (result := _read(path)) is not None:
            found.append(result)
        else:
            raise UserError(f'{path} is not a result of tools/test.py or benchmark.py')
    if not found:
        raise UserError(f'no results below {", ".join(map(str, paths))}')
    return found


def _read(path: Path) -> dict | None:
    """A result, or None for another JSON file (logs and annotations lie beside)."""
    try:
        content = json.loads(path.read_text('utf-8'))
    except FileNotFoundError as error:
        raise UserError(f'{path}: no such file') from error
    except (OSError, ValueError):
        return None
    keys = {'schema_version', 'config', 'checkpoint_sha256', 'metrics'}
    return content if isinstance(content, dict) and keys <= content.keys() else None


def join(results: list[dict]) -> dict[str, dict]:
    """One row a model: metrics of results with the same config name and weights.

    Returns:
        {row name: metrics}; a benchmark adds its device and precision to the name.
    """
    weights = {(r['config'], r['checkpoint_sha256']) for r in results}
    rows = {}
    for config, digest in sorted(weights, key=str):
        same = [
            r
            for r in results
            if (r['config'], r['checkpoint_sha256']) == (config, digest)
        ]
        accuracy = {}
        for result in same:
            if 'settings' not in result:
                accuracy.update(result['metrics'])
        speeds = [result for result in same if 'settings' in result]
        for result in speeds:
            settings = result['settings']
            size = 'x'.join(map(str, settings['image_shape']))
            name = f'{config}, {size}, {settings["device"]}, {settings["precision"]}'
            rows[name] = {**accuracy, **result['metrics']}
        if not speeds:
            rows[config] = accuracy
    return rows


def make_table(rows: dict[str, dict]) -> Table:
    """A table for the terminal; a number nobody measured is an en dash."""
    columns = {
        title: spec
        for title, spec in COLUMNS.items()
        if any(spec[0] in metrics for metrics in rows.values())
    }
    table = Table('model', *columns)
    for name, metrics in rows.items():
        table.add_row(name, *(_cell(metrics, *spec) for spec in columns.values()))
    return table


def _cell(metrics: dict, key: str, factor: float, digits: int) -> str:
    value = metrics.get(key)
    if isinstance(value, dict):  # a latency: its mean
        value = value['mean']
    # COCO metrics say -1 where no object of that size exists
    return '–' if value is None or value < 0 else f'{value * factor:.{digits}f}'  # noqa: RUF001
