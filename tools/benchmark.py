"""Measure a detector: parameters, operations, latency, FPS.

examples:
  benchmark vovnet39_maskrcnn.py                        random weights, no data needed
  benchmark vovnet39_maskrcnn.py --checkpoint work_dirs/vovnet39_maskrcnn/epoch_36.pth
  benchmark vovnet39_maskrcnn.py --shape 320 320 --device cpu --threads 4
  benchmark vovnet39_maskrcnn.py --rounds 1 --min-runs 10 --min-seconds 0   a quick look

What each number means: docs/benchmark.md
"""

import time
from contextlib import nullcontext

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mmeff.cli import config_parser, run

SPREAD_LIMIT = 3  # percent between rounds, above which a result is doubtful
REFRESH_SECONDS = 0.5


def main(argv=None) -> None:
    args = _parse(argv)

    from mmeff.apis.benchmark import benchmark
    from mmeff.profiling.latency import Budget

    console = Console(highlight=False, markup=False)
    budget = Budget(args.rounds, args.min_runs, args.min_seconds, args.max_seconds)
    live, progress = _live_line(console, args.rounds)
    with live:
        result = benchmark(
            args.config,
            args.checkpoint,
            shape=args.shape,
            image=args.image,
            batch=args.batch,
            precision=args.precision,
            threads=args.threads,
            budget=budget,
            cfg_options=args.cfg_options,
            out_dir=args.out,
            progress=progress,
        )
    _print_result(console, result)


def _parse(argv):
    parser = config_parser(__doc__)
    parser.add_argument('--checkpoint', help='weights (default: random)')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help="image size (default: that of the config's test pipeline)",
    )
    parser.add_argument('--image', help='image file to run on (default: noise)')
    parser.add_argument('--batch', type=int, default=1, help='images per run')
    parser.add_argument(
        '--precision', choices=['fp32', 'tf32', 'amp-fp16', 'amp-bf16'], default='fp32'
    )
    parser.add_argument('--threads', type=int, help='CPU threads of torch')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--min-runs', type=int, default=200, help='of a round')
    parser.add_argument('--min-seconds', type=float, default=10, help='of a round')
    parser.add_argument(
        '--max-seconds', type=float, default=60, help='of a round, whatever --min-runs'
    )
    parser.add_argument('--out', default='results', help='folder of the JSON file')
    return parser.parse_args(argv)


def _live_line(console: Console, rounds: int):
    """A line that tells where the measurement is, and the function that updates it.

    It is drawn between runs only: a thread that refreshes it, as rich has by default,
    would take time from what is measured.
    """
    if not console.is_terminal:
        return nullcontext(), None
    live = Live(
        'building the detector', console=console, auto_refresh=False, transient=True
    )
    drawn = 0.0

    def progress(region, number, samples_ms) -> None:
        nonlocal drawn
        if time.perf_counter() - drawn > REFRESH_SECONDS:
            turn = f'round {number} of {rounds}' if number else 'warm-up'
            text = f'{region}: {turn}, run {len(samples_ms)}, {samples_ms[-1]:.2f} ms'
            live.update(text, refresh=True)
            drawn = time.perf_counter()

    return live, progress


def _print_result(console: Console, result: dict) -> None:
    settings, metrics = result['settings'], result['metrics']
    weights = result['checkpoint'] or 'random weights'
    shapes = [
        ' x '.join(map(str, settings[key])) for key in ('image_shape', 'input_shape')
    ]
    shape = shapes[0] if shapes[0] == shapes[1] else '{}, padded to {}'.format(*shapes)
    console.print(
        f'{result["config"]}: {shape}, batch {settings["batch"]}, '
        f'{settings["precision"]}, {settings["device"]}, {weights}',
        soft_wrap=True,
    )
    console.print(_latency_table(metrics))
    console.print(_count_table(metrics))
    console.print(_environment_line(result['environment']), soft_wrap=True)
    for line in _remarks(result):
        console.print(line, soft_wrap=True)
    console.print(result['file'], soft_wrap=True)


def _latency_table(metrics: dict) -> Table:
    table = Table(
        'region (ms)', 'mean', 'median', 'p90', 'p99', 'spread', 'runs', 'FPS'
    )
    for region in ('forward', 'detect'):
        latency = metrics[f'latency_{region}_ms']
        spread = latency['spread_percent']
        table.add_row(
            region,
            *(f'{latency[key]:.2f}' for key in ('mean', 'median', 'p90', 'p99')),
            '–' if spread is None else f'{spread:.1f} %',  # noqa: RUF001
            str(latency['n']),
            f'{metrics["fps"]:.4g}' if region == 'detect' else '',
        )
    return table


def _count_table(metrics: dict) -> Table:
    table = Table('params (M)', 'GMACs', 'GFLOPs', 'GMACs detect', 'boxes/img')
    keys = ('params_m', 'macs_g', 'flops_g', 'macs_detect_g', 'boxes_per_img')
    table.add_row(*(f'{metrics[key]:.4g}' for key in keys))
    return table


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


def _remarks(result: dict) -> list[str]:
    """What one must know to trust the numbers, or not to."""
    settings, metrics = result['settings'], result['metrics']
    lines = []
    for region in ('forward', 'detect'):
        latency = metrics[f'latency_{region}_ms']
        if (latency['spread_percent'] or 0) > SPREAD_LIMIT:
            lines.append(
                f'warning: {region} differs by {latency["spread_percent"]:.1f} % between '
                f'rounds, more than {SPREAD_LIMIT} %: is the machine busy with other '
                'things, or its clock changing?'
            )
        if not latency['warmup_stable']:
            lines.append(
                f'warning: {region} was not stable when its warm-up time was over'
            )
        if latency['n'] < settings['rounds'] * settings['min_runs']:
            lines.append(f'warning: rounds of {region} ended early, at --max-seconds')
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


if __name__ == '__main__':
    raise SystemExit(run(main))
