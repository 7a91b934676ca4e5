"""Join accuracy and measured cost of detectors into a table, figures and a web page.

examples:
  report results work_dirs                  all results below two folders
  report results work_dirs --out report     table.md, table.csv, figures, report.html
  report results --format markdown > table.md
  report results work_dirs --target-fps 30  which detector to take for 30 FPS

Rows join an evaluation (tools/test.py) with the benchmarks of the same weights.
How to read it: docs/report.md
"""

import sys

from rich.console import Console

from mmeff.cli import run, tool_parser

FILE_WIDTH = 200  # files and pipes have no width; rows should not break there


def main(argv=None) -> None:
    args = _parse(argv)

    from mmeff.apis.report import report
    from mmeff.reporting.choose import NO_CHOICE

    made = report(args.results, args.out, args.target_latency, args.target_fps)
    remarks = Console(stderr=True, highlight=False, markup=False)
    for line in made.report.warnings:
        remarks.print(f'note: {line}', soft_wrap=True)
    _print_table(made.report, args.format)
    # what is not the table does not disturb one that goes into a file
    out = Console(stderr=args.format != 'terminal', highlight=False, markup=False)
    for choice in made.choices:
        out.print(f'target {choice.target_ms:.4g} ms, {choice.setup}', soft_wrap=True)
        for sentence in choice.sentences():
            out.print(f'  {sentence}', soft_wrap=True)
    if not made.choices and (args.target_latency or args.target_fps):
        remarks.print(NO_CHOICE, soft_wrap=True)
    figures = [path for path in made.files if path.parent.name == 'figures']
    for path in made.files:
        if path not in figures:
            out.print(str(path), soft_wrap=True)
    if figures:
        out.print(f'{figures[0].parent}: {len(figures)} figures', soft_wrap=True)


def _parse(argv):
    parser = tool_parser(__doc__)
    parser.add_argument('results', nargs='+', help='JSON files or folders of them')
    parser.add_argument(
        '--format',
        choices=['terminal', 'markdown', 'csv'],
        default='terminal',
        help='of the table that is printed',
    )
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='folder for tables, figures and page, or one .md, .csv or .html file',
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        '--target-latency', type=float, metavar='MS', help='choose a model for it'
    )
    target.add_argument(
        '--target-fps', type=float, metavar='F', help='choose a model for it'
    )
    return parser.parse_args(argv)


def _print_table(report, form: str) -> None:
    from mmeff.reporting.terminal import for_terminal
    from mmeff.reporting.text import for_csv, for_markdown

    if form == 'terminal':
        console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH)
        console.print(for_terminal(report, console.width))
    else:
        sys.stdout.write({'markdown': for_markdown, 'csv': for_csv}[form](report))


if __name__ == '__main__':
    raise SystemExit(run(main))
