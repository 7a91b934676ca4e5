"""Join evaluations and benchmarks of the same weights: one row for each benchmark.

Rows that may be compared with each other have the same `Setup`. Everything that ranks,
fronts and choices, stays inside one.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import isfinite
from pathlib import Path

from mmeff.reporting.files import Results, read_files

SPREAD_LIMIT = 3  # percent between rounds, above which a latency is doubtful
MAX_NAME, MAX_TEXT = 120, 10_000  # characters
BASELINE = 'mmdet'  # a detector that no backend runs

Identity = tuple[str, str | None, str, str]  # config, weights, backend, precision


@dataclass(frozen=True, order=True)
class Setup:
    """What speeds must share to be compared.

    Attributes:
        device: Name of the GPU; of a CPU its model and the number of threads.
        precision: As in `tools/benchmark.py`.
        batch: Images per run.
    """

    device: str
    precision: str
    batch: int

    def __str__(self) -> str:
        return f'{self.device}, {self.precision}, batch {self.batch}'

    @property
    def slug(self) -> str:
        """For names of files."""
        words = re.sub(r'[^a-z0-9]+', '-', str(self).lower()).strip('-')
        return words[:MAX_NAME]


@dataclass(frozen=True)
class Row:
    """A line of the report.

    Attributes:
        name: Config, and what else tells this run from others of the same setup.
        config: Its name.
        weights: SHA-256 of the checkpoint; None if they are random.
        setup: None for an evaluation whose weights were never timed.
        metrics: Of the evaluation and of the benchmark, as in their files.
        benchmark: Content of the benchmark's file.
        evaluated: Whether an evaluation of these weights was found.
        files: What the row was read from.
        backend: What ran the networks; 'mmdet': no backend.
    """

    name: str
    config: str
    weights: str | None
    setup: Setup | None
    metrics: dict
    benchmark: dict | None = None
    evaluated: bool = False
    files: tuple[str, ...] = ()
    backend: str = BASELINE


@dataclass(frozen=True)
class Report:
    """All rows, those of one setup together and the fastest first; and all warnings."""

    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()

    def groups(self) -> list[tuple[Setup | None, list[Row]]]:
        """Rows by setup; evaluations without a benchmark come last."""
        return [(s, list(rows)) for s, rows in groupby(self.rows, lambda r: r.setup)]


def number(metrics: dict, *path: str) -> float | None:
    """A finite number in nested metrics, None where there is none."""
    value = metrics
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:  # JSON knows integers of any length
        return None
    return value if isfinite(value) else None


def clean(text: object) -> str:
    """Text with a replacement in place of what would steer a terminal or a browser.

    What is longer than any name is cut: drawing it would take all memory.
    """
    text = str(text)
    text = text if len(text) <= MAX_TEXT else f'{text[:MAX_TEXT]}...'
    return ''.join(c if c.isprintable() else '\ufffd' for c in text)


def name_text(text: object) -> str:
    """A name as it is shown in tables and figures."""
    text = clean(text)
    return text if len(text) <= MAX_NAME else f'{text[:MAX_NAME]}...'


def make_report(paths: Sequence[str | Path]) -> Report:
    """Read files and folders and join what belongs together.

    Raises:
        UserError: See `read_files`.
    """
    return join(read_files(paths))


def join(results: Results) -> Report:
    """One row for each benchmark, with the accuracy of the same config and weights.

    Benchmarks with random weights have no accuracy. Evaluations of weights that nobody
    timed are rows of their own.
    """
    warnings = list(results.warnings)
    accuracy = _merge_evaluations(results, warnings)
    rows, used = [], set()
    for path, content in results.benchmarks:
        key = _accuracy_of(content, accuracy)
        metrics, files = accuracy.get(key, ({}, []))
        used.add(key)
        rows.append(
            Row(
                name=_name(content),
                config=clean(key[0]),
                weights=key[1],
                setup=_setup(content),
                metrics={**metrics, **content['metrics']},
                benchmark=content,
                evaluated=key in accuracy,
                files=(str(path), *files),
                backend=clean(_backend(content['settings'])),
            )
        )
    for key, (metrics, files) in accuracy.items():
        if key not in used:
            config, weights, *run = key
            words = [config, *(run if run != [BASELINE, 'fp32'] else [])]
            rows.append(
                Row(
                    name=', '.join(map(name_text, words)),
                    config=clean(config),
                    weights=weights,
                    setup=None,
                    metrics=metrics,
                    evaluated=True,
                    files=tuple(files),
                    backend=clean(run[0]),
                )
            )
    rows = _tell_apart(sorted(rows, key=_order))
    warnings += _remarks(rows)
    return Report(tuple(rows), tuple(clean(line) for line in warnings))


def _merge_evaluations(results: Results, warnings: list[str]) -> dict:
    """{identity: (metrics, files)}; of differing numbers the last one stays."""
    merged = {}
    for path, content in results.evaluations:
        run = content.get('backend', BASELINE), content.get('precision', 'fp32')
        key = (content['config'], content['checkpoint_sha256'], *map(str, run))
        metrics, files = merged.setdefault(key, ({}, []))
        differing = [
            name
            for name, value in content['metrics'].items()
            if metrics.get(name, value) != value
        ]
        if differing:
            warnings.append(
                f'{path}: {", ".join(differing)} differs from {", ".join(files)} with '
                'the same weights (another test set?); the numbers of this file are shown'
            )
        metrics.update(content['metrics'])
        files.append(str(path))
    return merged


def _accuracy_of(content: dict, accuracy: dict) -> Identity:
    """Which evaluation belongs to a benchmark: of the same weights, run the same way.

    Without one that of mmdet in fp32, but not for a backend in half precision, which
    has to be judged by what it finds itself.
    """
    settings = content['settings']
    backend, precision = _backend(settings), str(settings['precision'])
    weights = content['config'], content['checkpoint_sha256']
    key = (*weights, backend, precision)
    if key not in accuracy and (backend == BASELINE or precision == 'fp32'):
        return (*weights, BASELINE, 'fp32')
    return key


def _backend(settings: dict) -> str:
    return str(settings.get('backend', BASELINE))


def _setup(content: dict) -> Setup:
    settings, environment = content['settings'], content['environment']
    device = settings['device']
    if device == 'cpu':
        threads = environment.get('torch_threads')
        device = f'CPU {environment.get("cpu") or "of unknown model"}'
        device += f', {threads} thread{"s" if threads != 1 else ""}' if threads else ''
    return Setup(name_text(device), name_text(settings['precision']), settings['batch'])


def _name(content: dict) -> str:
    """The config, and the options that change its speed but not what it computes."""
    settings = content['settings']
    options = [
        text
        for key, text in (
            ('compile', 'compiled'),
            ('channels_last', 'channels last'),
            ('fuse_conv_bn', 'fused'),
        )
        if settings.get(key)
    ]
    if _backend(settings) != BASELINE:
        options.insert(0, _backend(settings))
    return ', '.join([name_text(content['config']), *map(name_text, options)])


def input_text(row: Row) -> str | None:
    """Height and width of the image before the padding."""
    if row.benchmark is None:
        return None
    return name_text('x'.join(map(str, row.benchmark['settings']['image_shape'])))


def _weights_text(row: Row) -> str:
    return f'weights {clean(row.weights)[:8]}' if row.weights else 'random weights'


def _tell_apart(rows: list[Row]) -> list[Row]:
    """Add to names that a setup has twice what is different, at last the file."""
    features: list[Callable[[Row], str]] = [
        input_text,
        _weights_text,
        lambda row: clean(row.files[0]),
    ]
    for feature in features:
        same = {}
        for row in rows:
            same.setdefault((row.setup, row.name), []).append(row)
        twice = {
            id(row)
            for group in same.values()
            if len({feature(row) for row in group}) > 1
            for row in group
        }
        rows = [
            replace(row, name=f'{row.name}, {feature(row)}')
            if id(row) in twice
            else row
            for row in rows
        ]
    return rows


def _order(row: Row) -> tuple:
    """Setups together, evaluations alone last; in a setup the fastest first."""
    fps = number(row.metrics, 'fps')
    setup = row.setup or Setup('', '', 0)
    return (row.setup is None, setup, -(fps or 0), row.name)


def doubts(row: Row) -> list[str]:
    """Why the speed of a row may be no good, in words."""
    found = []
    spread = number(row.metrics, 'latency_detect_ms', 'spread_percent')
    if spread is not None and spread > SPREAD_LIMIT:
        found.append(
            f'rounds of detect differ by {spread:.1f} %, more than {SPREAD_LIMIT} %: the '
            'machine was not quiet'
        )
    detect = row.metrics.get('latency_detect_ms')
    if isinstance(detect, dict) and detect.get('warmup_stable') is False:
        found.append('detect was not stable yet when its warm-up ended')
    if row.metrics.get('throttled') is True:
        reasons = row.metrics.get('throttle_reasons')
        names = ', '.join(map(str, reasons)) if isinstance(reasons, list) else ''
        found.append(
            f'the device lowered its clock while it was measured '
            f'({names or "no reason in the file"})'
        )
    return found


def _remarks(rows: Iterable[Row]) -> list[str]:
    """What one must know to trust the numbers, or not to."""
    lines = [
        f'{row.name} ({row.setup}): {"; ".join(found)}'
        for row in rows
        if (found := doubts(row))
    ]
    random = [row.name for row in rows if row.weights is None]
    if random:
        lines.append(
            'random weights, so without accuracy, and with other boxes than trained ones '
            f'would find: {", ".join(dict.fromkeys(random))}'
        )
    setups = {row.setup for row in rows if row.setup}
    if len(setups) > 1:
        lines.append(
            f'{len(setups)} setups of device, precision and batch; speeds are compared '
            'inside each only'
        )
    return lines
