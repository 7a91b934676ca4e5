"""What `tools/benchmark.py` shows: tables and remarks."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations, groupby

from rich.console import Console
from rich.table import Table

REGIONS = ('forward', 'detect', 'pipeline', 'api')
SPREAD_LIMIT = 3  # percent between rounds or twins, above which a result is doubtful
NONE = '–'  # noqa: RUF001


@contextmanager
def interrupt_on_terminate() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does: tidily."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def print_result(console: Console, result: dict) -> None:
    """Tables of one result, what one must know to trust it, and where it is."""
    settings, metrics = result['settings'], result['metrics']
    shapes = [
        ' x '.join(map(str, settings[key])) for key in ('image_shape', 'input_shape')
    ]
    shape = shapes[0] if shapes[0] == shapes[1] else '{}, padded to {}'.format(*shapes)
    options = ('channels_last', 'fuse_conv_bn', 'compile')
    words = [shape, f'batch {settings["batch"]}', settings['precision']]
    words += [settings['backend']] if settings['backend'] != 'mmdet' else []
    words += [option.replace('_', ' ') for option in options if settings[option]]
    words += [settings['device'], result['checkpoint'] or 'random weights']
    console.print(f'{result["config"]}: {", ".join(words)}', soft_wrap=True)
    console.print(_latency_table(metrics))
    console.print(_count_table(metrics))
    console.print(_use_table(metrics))
    console.print(_environment_line(result['environment']), soft_wrap=True)
    for line in remarks(result):
        console.print(line, soft_wrap=True)
    console.print(result['file'], soft_wrap=True)


def print_backends(console: Console, results: Sequence[dict]) -> None:
    """A table of the backends of each detector, then remarks and files.

    Args:
        console: Where to.
        results: Of one command, in the order in which they were measured.
    """
    for config, group in groupby(results, lambda result: result['config']):
        same = list(group)
        console.print(_backends_table(config, same))
        for name, reason in same[0]['settings']['backends_refused'].items():
            console.print(f'not measured with {name}: {reason}', soft_wrap=True)
        # what is said of the weights is said once
        told = {line: None for result in same for line in _labelled(result)}
        for line in told:
            console.print(line, soft_wrap=True)
        for result in same:
            console.print(result['file'], soft_wrap=True)
    console.print(_environment_line(results[0]['environment']), soft_wrap=True)


def _backends_table(config: str, results: Sequence[dict]) -> Table:
    table = Table(
        *('backend', 'precision', *(f'{region} (ms)' for region in REGIONS)),
        *('FPS', *(f'{region} x mmdet' for region in REGIONS[1:]), 'roofline (%)'),
        title=f'{config}: medians of runs in turns',
        title_justify='left',
    )
    for result in results:
        settings, metrics = result['settings'], result['metrics']
        latencies = [metrics.get(f'latency_{region}_ms') for region in REGIONS]
        share = metrics['roofline_share']
        table.add_row(
            settings['backend'],
            settings['precision'],
            *(NONE if each is None else f'{each["median"]:.2f}' for each in latencies),
            _cell(metrics['fps']),
            *(_cell(metrics.get(f'speedup_{region}')) for region in REGIONS[1:]),
            NONE if share is None else f'{100 * share:.0f}',
        )
    return table


def _labelled(result: dict) -> list[str]:
    """Remarks; warnings with the backend that they are about."""
    backend = result['settings']['backend']
    return [
        line if line.startswith('note: ') else f'{backend}: {line}'
        for line in remarks(result)
    ]


def _latency_table(metrics: dict) -> Table:
    table = Table(
        'region (ms)', 'mean', 'median', 'p90', 'p99', 'spread', 'runs', 'FPS'
    )
    for region in REGIONS:
        latency = metrics.get(f'latency_{region}_ms')
        if latency is None:
            continue
        spread = latency['spread_percent']
        table.add_row(
            region,
            *(f'{latency[key]:.2f}' for key in ('mean', 'median', 'p90', 'p99')),
            NONE if spread is None else f'{spread:.1f} %',
            str(latency['n']),
            _cell(metrics['fps']) if region == 'detect' else '',
        )
    return table


def _count_table(metrics: dict) -> Table:
    columns = {
        'params (M)': 'params_m',
        'GMACs': 'macs_g',
        'GFLOPs': 'flops_g',
        'memory access (M)': 'memory_access_m',
        'activations (M)': 'activations_m',
        'GMACs detect': 'macs_detect_g',
        'boxes/img': 'boxes_per_img',
    }
    return _row_of(columns, metrics)


def _use_table(metrics: dict) -> Table:
    columns = {
        'weights (MiB)': 'weights_mb',
        'peak allocated (MiB)': 'peak_allocated_mb',
        'peak RSS (MiB)': 'peak_rss_mb',
        'GFLOP/s': 'gflops_per_s',
        'energy (J/img)': 'energy_j_per_img',
        'power (W)': 'power_w',
        'idle (W)': 'idle_power_w',
    }
    return _row_of(columns, metrics)


def _row_of(columns: dict[str, str], metrics: dict) -> Table:
    """One row, without the columns that there is no number for."""
    known = {
        title: metrics[k] for title, k in columns.items() if metrics[k] is not None
    }
    table = Table(*known)
    table.add_row(*map(_cell, known.values()))
    return table


def _cell(number: float | None) -> str:
    return NONE if number is None else f'{number:.4g}'


def _environment_line(environment: dict) -> str:
    packages = environment['packages']
    mmcv = (
        f'mmcv {packages["mmcv"]}'
        if packages['mmcv']
        else f'mmcv-lite {packages["mmcv-lite"]}'
    )
    parts = [
        f'{environment["cpu"]}, threads: {environment["torch_threads"]}',
        f'torch {packages["torch"]}',
        f'mmdet {packages["mmdet"]}',
        f'{mmcv}, ops by {environment["mmcv_backend"]}',
        f'Python {environment["python"]}',
    ]
    if environment['gpu']:
        parts.insert(
            0,
            f'{environment["gpu"]}, driver {environment["driver"]}, '
            f'CUDA {environment["cuda"]}, cuDNN {environment["cudnn"]}',
        )
    return 'on ' + '; '.join(parts)


def remarks(result: dict) -> list[str]:
    """What one must know to trust the numbers, or not to."""
    settings, metrics = result['settings'], result['metrics']
    lines = []
    for region in settings['regions']:
        lines += _latency_remarks(region, metrics[f'latency_{region}_ms'], settings)
    if metrics['throttled']:
        lines.append(
            'warning: the GPU lowered its clock while it was measured: '
            f'{", ".join(metrics["throttle_reasons"])}'
        )
    if metrics['energy_j_per_img'] is None and settings['energy']:
        lines.append(f'energy: n/a ({metrics["reasons"]["energy_j_per_img"]})')
    if result['checkpoint'] is None:
        lines.append(
            'note: the weights are random; the time of detect depends on the boxes that '
            'trained ones find, see --checkpoint'
        )
    if metrics['proposals_per_img'] is not None:
        lines.append(
            f'note: the second stage runs on {metrics["proposals_per_img"]:g} proposals; '
            'operations and latency depend on their number, see docs/benchmark.md'
        )
    return lines


def _latency_remarks(region: str, latency: dict, settings: dict) -> list[str]:
    lines = []
    if (latency['spread_percent'] or 0) > SPREAD_LIMIT:
        lines.append(
            f'warning: {region} differs by {latency["spread_percent"]:.1f} % between '
            f'rounds, more than {SPREAD_LIMIT} %: is the machine busy with other '
            'things, or its clock changing?'
        )
    if not latency['warmup_stable']:
        lines.append(f'warning: {region} was not stable when its warm-up time was over')
    if latency['n'] < settings['rounds'] * settings['min_runs']:
        lines.append(f'warning: rounds of {region} ended early, at --max-seconds')
    return lines


def twin_remarks(results: Sequence[dict]) -> list[str]:
    """Warnings about detectors that were measured twice and do not agree."""
    lines = []
    for first, second in combinations(results, 2):
        same = all(
            first[k] == second[k] for k in ('config_sha256', 'checkpoint_sha256')
        ) and all(
            first['settings'][k] == second['settings'][k]
            for k in ('backend', 'precision')
        )
        for region in first['settings']['regions'] if same else ():
            key = f'latency_{region}_ms'
            medians = [result['metrics'][key]['median'] for result in (first, second)]
            percent = 100 * (max(medians) / min(medians) - 1)
            if percent > SPREAD_LIMIT:
                lines.append(
                    f'warning: the machine is noisy: {region} of {first["config"]}, '
                    f'measured twice, differs by {percent:.1f} %'
                )
    return lines
