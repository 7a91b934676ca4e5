"""Compare a file of predictions with the ground truth: classes, curves, errors.

examples:
  analyze outputs/predictions.json annotations/instances_val.json
  analyze results.bbox.json instances_val2017.json --out analysis --score 0.3

Writes analysis.html, analysis.json and PNG figures. AP needs all detections: predict
with --pred-score-thr 0. What the numbers mean: docs/metrics.md
"""

import sys

from rich.console import Console

from mmeff.cli import run, tool_parser

FILE_WIDTH = 200  # files and pipes have no width; rows should not break there


def main(argv=None) -> None:
    parser = tool_parser(__doc__)
    parser.add_argument(
        'predictions', help='COCO results, or predictions.json of tools/predict.py'
    )
    parser.add_argument('ground_truth', help='COCO annotation file')
    parser.add_argument('--out', default='analysis', metavar='DIR', help='analysis')
    parser.add_argument(
        '--score',
        type=float,
        help='from which detections count in the confusion matrix (default: the score '
        'with the greatest F1)',
    )
    args = parser.parse_args(argv)

    from mmeff.apis.analyze import analyze
    from mmeff.reporting.analysis import class_lines, error_lines, terminal_table

    analysed = analyze(args.predictions, args.ground_truth, args.out, args.score)
    content = analysed.content
    remarks = Console(stderr=True, highlight=False, markup=False)
    for note in content['notes']:
        remarks.print(f'note: {note}', soft_wrap=True)
    width = None if sys.stdout.isatty() else FILE_WIDTH
    console = Console(width=width, highlight=False, markup=False)
    console.print(terminal_table(class_lines(content)))
    console.print(terminal_table(error_lines(content)))
    for path in analysed.files:
        console.print(str(path), soft_wrap=True)


if __name__ == '__main__':
    raise SystemExit(run(main))
