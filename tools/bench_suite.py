"""Measure every detector of the papers on one device, and make the report.

examples:
  bench_suite                            on the GPU, in 20 minutes at most
  bench_suite --minutes 60 --out results/h100
  bench_suite --device cpu --quick       two small detectors, to see that it works

Needs neither data nor a network. What is measured, in which order: docs/benchmark.md
"""

import time
from pathlib import Path

from mmeff.apis.benchmark_view import interrupt_on_terminate
from mmeff.cli import add_device, run, tool_parser


def main(argv=None) -> None:
    args = _parse(argv)
    with interrupt_on_terminate():
        from mmeff.apis.bench_suite import bench_suite
        from mmeff.apis.report import report

        begin = time.monotonic()

        def tell(number, total, what, came_out) -> None:
            seconds = time.monotonic() - begin
            line = f'[{number}/{total}, {seconds:.0f} s] {what}: {came_out}'
            print(line, flush=True)

        outcome = bench_suite(
            quick=args.quick, minutes=args.minutes, out_dir=args.out, report=tell
        )
        if outcome.files:
            for path in report([args.out], Path(args.out) / 'report').files:
                print(path)
    print(f'{len(outcome.files)} results in {args.out}')
    if outcome.skipped:
        print(f'not begun, the time was over (--minutes): {len(outcome.skipped)}')
        print(*(f'  {skipped}' for skipped in outcome.skipped), sep='\n')
    if outcome.failures:
        print(f'failed: {len(outcome.failures)}')
        print(*(f'  {failed}: {why}' for failed, why in outcome.failures), sep='\n')
        raise SystemExit(1)


def _parse(argv):
    parser = tool_parser(__doc__)
    add_device(parser)
    parser.add_argument(
        '--quick', action='store_true', help='two small detectors in one setup'
    )
    parser.add_argument('--minutes', type=float, default=20, help='for all of it')
    parser.add_argument('--out', default='results/suite', help='folder of the results')
    return parser.parse_args(argv)


if __name__ == '__main__':
    raise SystemExit(run(main))
