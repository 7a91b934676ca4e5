"""Write a data set in another layout: COCO, VOC or YOLO.

examples:
  convert_data VOCdevkit data/mine --to coco
  convert_data data/coco data/yolo --to yolo

Images are linked, or copied to another disk. Nothing is overwritten. What a layout
cannot hold is said: docs/data.md
"""

from mmeff.cli import run, tool_parser


def main(argv=None) -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('source', help='folder in COCO, VOC or YOLO layout')
    parser.add_argument('target', help='a new folder')
    parser.add_argument('--to', required=True, choices=['coco', 'voc', 'yolo'])
    args = parser.parse_args(argv)

    from mmeff.apis.convert_data import convert_data
    from mmeff.datasets.findings import escape

    for line in convert_data(args.source, args.target, args.to):
        print(escape(line))
    print(args.target)


if __name__ == '__main__':
    raise SystemExit(run(main))
