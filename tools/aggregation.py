"""Draw how much the layers of a VoVNet or DenseNet read from each earlier layer.

examples:
  aggregation vovnet39_maskrcnn.py work_dirs/vovnet39_maskrcnn/epoch_36.pth
  aggregation dsod300_densenet67_voc.py epoch_100.pth --out densenet67.svg
  aggregation vovnet39_maskrcnn.py vovnet39_torchvision.pth     weights of the backbone

What the colours mean: docs/guidelines.md
"""

from mmengine.config import DictAction

from mmeff.cli import run, tool_parser


def main(argv=None) -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config of a detector, or the name of one')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='of the detector, or weights of its backbone (default: random)',
    )
    parser.add_argument('--out', default='aggregation.png', help='picture to write')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, such as model.backbone.arch=57',
    )
    args = parser.parse_args(argv)

    from mmeff.apis.aggregation import draw_aggregation_maps

    result = draw_aggregation_maps(
        args.config, args.checkpoint, args.out, args.cfg_options
    )
    if result['checkpoint'] is None:
        print(
            'note: the weights are random; the picture shows what the initialisation '
            'does and nothing that was learned'
        )
    print(result['file'])
    print(result['picture'])


if __name__ == '__main__':
    raise SystemExit(run(main))
