"""Check a data set: what it holds, and every defect with file, place and reason.

examples:
  check_data data/mine                     counts, class table, defects
  check_data data/mine --out figures       with pictures of box sizes and shapes
  check_data data/mine --json report.json  up to 1000 defects of each kind
  check_data data/mine --fix data/mended   a repaired copy; the original stays

Ends with status 1 if there are defects. What counts as one: docs/data.md
"""

import sys

from mmeff.cli import run, tool_parser

SHOWN = 5  # defects of a kind on the terminal


def main(argv=None) -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('path', help='folder in COCO, VOC or YOLO layout')
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help='table and figures of these only'
    )
    parser.add_argument('--json', metavar='FILE', help='the whole report')
    parser.add_argument('--out', metavar='DIR', help='figures of the boxes')
    parser.add_argument('--fix', metavar='DIR', help='a new folder for a repaired copy')
    parser.add_argument(
        '--decode',
        action='store_true',
        help='decode all pixels, which finds damage in the middle of a file (slow)',
    )
    args = parser.parse_args(argv)

    from mmeff.apis.check_data import check_data

    result = check_data(
        args.path, args.classes, args.json, args.out, args.fix, args.decode
    )
    _print_counts(result.check)
    _print_defects(result.check)
    for line in result.changes:
        print(f'changed: {line}')
    for file in result.files:
        print(file)
    wrong = result.check if result.left is None else result.left
    if result.left is not None:
        print(f'the copy has {sum(wrong.totals.values())} defects')
    if wrong.totals:
        sys.exit(1)


def _print_counts(check) -> None:
    from mmeff.datasets.findings import escape

    print(f'data: {escape(str(check.root))} ({check.layout or "cannot be read"})')
    for name, counts in check.splits.items():
        print(
            f'{name}: {counts["images"]} images, {counts["boxes"]} boxes, '
            f'{counts["crowds"]} ignored regions, '
            f'{counts["images_without_objects"]} images without objects'
        )
    for note in check.notes:
        print(f'note: {escape(note)}')
    rows = [('class', 'images', *(f'{s} boxes' for s in check.splits), 'median size')]
    for row in check.classes:
        boxes = (str(row.boxes_by_split.get(name, 0)) for name in check.splits)
        size = '-' if row.median_size_px is None else f'{row.median_size_px:.1f} px'
        rows.append((escape(row.name), str(row.num_images), *boxes, size))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers in rows:
        cells = [f'{n:>{w}}' for n, w in zip(numbers, widths[1:], strict=True)]
        print(f'  {name:<{widths[0]}}  {"  ".join(cells)}')


def _print_defects(check) -> None:
    for kind, total in sorted(check.totals.items()):
        print(f'{kind}: {total}')
        kept = [defect for defect in check.defects if defect.kind == kind]
        for defect in kept[:SHOWN]:
            print(f'  {defect}')
        if total > SHOWN:
            print(f'  ... {total - SHOWN} more')
    print(f'{sum(check.totals.values())} defects')


if __name__ == '__main__':
    raise SystemExit(run(main))
