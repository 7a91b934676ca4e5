"""Check that backends find in your images what mmdet's own way finds.

examples:
  agreement ssdlite320_mobilenetv2_coco.py best.pth path/to/images
  agreement ssdlite320_mobilenetv2_coco.py best.pth images --backend openvino --out a.json

Ends with status 1 if one of them does not. In fp32 the boxes have to be the same, in bf16
and fp16 only gross mistakes are found: there compare the mAP of tools/test.py --backend.
What is compared: docs/deploy.md
"""

import sys

from rich.console import Console
from rich.table import Table

from mmeff.apis.live_line import live_line
from mmeff.cli import config_parser, run


def main(argv=None) -> None:
    parser = config_parser(__doc__)
    parser.add_argument('checkpoint')
    parser.add_argument('inputs', nargs='+', help='images, folders, patterns, videos')
    parser.add_argument(
        '--backend',
        nargs='+',
        default=['all'],
        metavar='NAME',
        help='torch, compile, onnxruntime, openvino, tensorrt, or all that can be used',
    )
    parser.add_argument('--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--out', metavar='FILE.json', help='write the numbers')
    args = vars(parser.parse_args(argv))
    args['backends'] = args.pop('backend')

    # files and pipes have no width; the table should not break there
    width = None if sys.stdout.isatty() else 120
    console = Console(width=width, highlight=False, markup=False)
    with live_line(console) as progress:
        from mmeff.apis.agreement import agreement

        outcome = agreement(**args, progress=progress)
    _print(console, outcome)
    if not outcome.agrees:
        sys.exit(1)


def _print(console: Console, outcome) -> None:
    table = Table(
        *('backend', 'images', 'boxes', 'unmatched', 'borderline', 'px', 'score'),
        *('masks', ''),
    )
    for name, each in outcome.agreements.items():
        numbers = each.images, each.boxes, each.unmatched, each.borderline
        largest = each.max_box_px, each.max_score, each.mask_share
        table.add_row(
            name,
            *map(str, numbers),
            *('' if value is None else f'{value:.1e}' for value in largest),
            'PASS' if each.agrees(outcome.precision) else 'FAIL',
        )
    console.print(table)
    for name, reason in outcome.refused.items():
        console.print(f'not checked, {name}: {reason}', soft_wrap=True)


if __name__ == '__main__':
    raise SystemExit(run(main))
