"""Print one table of accuracy and speed from the results of test and benchmark.

examples:
  report work_dirs/demo                    all results below a folder
  report a/metrics.json results/a__cpu__fp32.json

Rows join an evaluation with the benchmarks of the same weights.
"""

import argparse
import sys

from rich.console import Console

from mmeff.cli import run


def main(argv=None) -> None:
    description, _, epilog = __doc__.partition('\n')
    parser = argparse.ArgumentParser(
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('results', nargs='+', help='JSON files or folders of them')
    args = parser.parse_args(argv)

    from mmeff.reporting.table import join, make_table, read_results

    # files and pipes have no width; rows should not break there
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(make_table(join(read_results(args.results))))


if __name__ == '__main__':
    raise SystemExit(run(main))
