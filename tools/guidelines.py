"""Measure ShuffleNetV2's guidelines and VoVNet's 1x1 bottlenecks on this device.

examples:
  guidelines                                   all of them, about two minutes on a CPU
  guidelines --guidelines G1 G4 --threads 1
  guidelines --device cuda --widths 1 2 4 --batch 8 --precision amp-fp16

What is measured and how to read it: docs/guidelines.md
"""

from dataclasses import replace

from rich.console import Console
from rich.table import Table

from mmeff.apis.live_line import live_line
from mmeff.cli import add_device, run, tool_parser

KEYS = ('G1', 'G2', 'G3', 'G4', 'bottleneck')
SPREAD_LIMIT = 0.05  # between quartiles of a relative speed; more is told


def main(argv=None) -> None:
    args = _parse(argv)

    from mmeff.apis.guidelines import BUDGET, measure_guidelines

    console = Console(highlight=False, markup=False)
    with live_line(console) as tell:

        def progress(name, number, samples_ms) -> None:
            turn = f'round {number} of {args.rounds}' if number else 'warm-up'
            tell(f'{name}: {turn}, {samples_ms[-1]:.2f} ms')

        result = measure_guidelines(
            args.guidelines,
            widths=args.widths,
            columns=args.columns,
            batch=args.batch,
            precision=args.precision,
            threads=args.threads,
            budget=replace(
                BUDGET,
                rounds=args.rounds,
                min_seconds=args.min_seconds,
                max_seconds=10 * args.min_seconds,
            ),
            out_dir=args.out,
            progress=progress,
            report=lambda guideline: _print_guideline(console, guideline),
        )
    for line in (_environment_line(result), result['file'], result['picture']):
        console.print(line, soft_wrap=True)


def _parse(argv):
    parser = tool_parser(__doc__)
    parser.add_argument('--guidelines', nargs='+', choices=KEYS, default=KEYS)
    parser.add_argument(
        '--widths',
        nargs='+',
        type=int,
        choices=[1, 2, 4],
        default=[1],
        help='factors of all channels (default: 1)',
    )
    parser.add_argument(
        '--columns',
        choices=['gpu', 'cpu'],
        help="whose channels of the papers' tables (default: as the device)",
    )
    parser.add_argument('--batch', type=int, default=1, help='images per run')
    parser.add_argument(
        '--precision', choices=['fp32', 'tf32', 'amp-fp16', 'amp-bf16'], default='fp32'
    )
    parser.add_argument('--threads', type=int, help='CPU threads of torch')
    parser.add_argument('--rounds', type=int, default=20, help='turns of each net')
    parser.add_argument(
        '--min-seconds',
        type=float,
        default=0.2,
        help='of a turn; the most is ten times',
    )
    add_device(parser)
    parser.add_argument('--out', default='results', help='folder of JSON and picture')
    return parser.parse_args(argv)


def _print_guideline(console: Console, guideline: dict) -> None:
    console.print(f'{guideline["key"]}. {guideline["claim"]}', soft_wrap=True)
    for measurement in guideline['measurements']:
        console.print(_cost_table(guideline, measurement))
        console.print(_speed_table(guideline, measurement))
        for line in _verdicts(measurement):
            console.print(line, soft_wrap=True)
    console.print(f'printed in the paper: {guideline["paper_unit"]}\n', soft_wrap=True)


def _cost_table(guideline: dict, measurement: dict) -> Table:
    titles = ('channels', 'MMACs', 'access (M)', 'elementwise (M)')
    table = _empty_table(guideline, measurement, titles)
    for row in measurement['rows']:
        keys = ('macs_m', 'memory_access_m', 'elementwise_access_m')
        table.add_row(row['name'], _channels(row), *(f'{row[key]:.2f}' for key in keys))
    return table


def _speed_table(guideline: dict, measurement: dict) -> Table:
    titles = ('ms', 'GFLOP/s', 'speed', 'paper', 'quartiles', 'printed')
    table = _empty_table(guideline, measurement, titles)
    for row in measurement['rows']:
        table.add_row(
            row['name'],
            f'{row["latency_ms"]["median"]:.3f}',
            f'{row["gflops_per_s"]:.1f}',
            f'{row["relative_speed"]:.2f}',
            f'{row["paper_relative_speed"]:.2f}',
            '{:.2f} {:.2f}'.format(*row['relative_speed_quartiles']),
            f'{row["paper_speed"]:.4g}',
        )
    return table


def _empty_table(guideline: dict, measurement: dict, titles: tuple[str, ...]) -> Table:
    table = Table(f'{guideline["key"]} x{measurement["width"]}')
    for title in titles:
        table.add_column(title, justify='right')
    return table


def _channels(row: dict) -> str:
    """Channels as measured; the paper's too where they cannot be divided into groups."""
    used, printed = (
        ' '.join(map(str, row[key])) for key in ('channels', 'paper_channels')
    )
    return used if used == printed else f'{used} (paper {printed})'


def _verdicts(measurement: dict) -> list[str]:
    """What the measurement says of the paper's order, and how far to trust it."""
    lines = [_verdict('speed', measurement['speed_order'])]
    if measurement['efficiency_order'] is not None:
        lines.append(_verdict('GFLOP/s', measurement['efficiency_order']))
    spreads = {
        row['name']: row['relative_speed_quartiles'][1]
        / row['relative_speed_quartiles'][0]
        - 1
        for row in measurement['rows']
    }
    name = max(spreads, key=spreads.get)
    if spreads[name] > SPREAD_LIMIT:
        lines.append(
            f'warning: the quartiles of {name} are {100 * spreads[name]:.0f} % apart, '
            f'more than {100 * SPREAD_LIMIT:.0f} %: is the machine busy with other things?'
        )
    return lines


def _verdict(quantity: str, order: dict) -> str:
    agree, oppose, close = (order[key] for key in ('agree', 'oppose', 'close'))
    pairs = len(agree) + len(oppose) + len(close)
    if oppose:
        holds = 'NOT the same'
    elif close:
        holds = 'the same where it can be told' if agree else 'cannot be told'
    else:
        holds = 'the same'
    text = (
        f'order by {quantity}, here and in the paper: {holds} ({len(agree)} of {pairs} '
        'pairs)'
    )
    if oppose:
        text += f'; the other way here: {_pairs(oppose)}'
    if close:
        text += f'; too close to tell: {_pairs(close)}'
    return text


def _pairs(pairs: list) -> str:
    return ', '.join(f'{greater} > {less}' for greater, less in pairs)


def _environment_line(result: dict) -> str:
    settings, environment = result['settings'], result['environment']
    device = environment['gpu'] or (
        f'{environment["cpu"]}, threads: {environment["torch_threads"]}'
    )
    return (
        f'on {device}; {settings["precision"]}, batch {settings["batch"]}; '
        f'torch {environment["packages"]["torch"]}'
    )


if __name__ == '__main__':
    raise SystemExit(run(main))
