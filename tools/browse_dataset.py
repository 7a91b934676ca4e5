"""Draw samples of a data set with boxes and masks, before and after the pipeline.

examples:
  browse_dataset --data data/mine --out pictures             as they are stored
  browse_dataset vovnet39_maskrcnn --data data/mine --out augmented
  browse_dataset config.py --out pictures -n 32 --split val
"""

from mmeff.cli import run, tool_parser


def main(argv=None) -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('config', nargs='?', help='config whose pipeline is applied')
    parser.add_argument(
        '--data', help="folder in COCO, VOC or YOLO layout, or 'shapes' (generated)"
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='a new folder')
    parser.add_argument('-n', type=int, default=16, metavar='N', help='samples')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument(
        '--no-augment', action='store_true', help='draw them as they are stored only'
    )
    args = parser.parse_args(argv)

    from mmeff.apis.browse_dataset import browse_dataset

    files = browse_dataset(
        args.out, args.config, args.data, args.n, args.split, not args.no_augment
    )
    print(f'{args.out}: {len(files) - 1} pictures')
    print(files[-1])


if __name__ == '__main__':
    raise SystemExit(run(main))
