"""Draw losses and accuracies of trainings.

examples:
  plot_curve work_dirs/vovnet39_maskrcnn
  plot_curve dsod ssdlite --legend DSOD300 SSDLite320 --axis minutes --out curves.png
  plot_curve dsod --keys loss_cls loss_bbox

The logs are those that training leaves in its work dir.
"""

from mmeff.cli import run, tool_parser


def main(argv=None) -> None:
    from mmeff.reporting.curves import AXES, KEYS, plot_curves

    parser = tool_parser(__doc__)
    parser.add_argument('work_dirs', nargs='+', help='work dirs of trainings')
    parser.add_argument('--keys', nargs='+', default=KEYS, metavar='KEY')
    parser.add_argument('--legend', nargs='+', metavar='NAME')
    parser.add_argument('--axis', choices=list(AXES), default='epoch')
    parser.add_argument('--out', default='curves.png', help='PNG, SVG or PDF file')
    args = parser.parse_args(argv)

    absent = plot_curves(args.work_dirs, args.out, args.keys, args.legend, args.axis)
    for key in absent:
        print(f'{key}: in no log')
    print(args.out)


if __name__ == '__main__':
    raise SystemExit(run(main))
