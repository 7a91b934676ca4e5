"""Write a detector as ONNX files that run without mmeff and torch.

examples:
  export CONFIG CHECKPOINT --out net.onnx --pre inside --post inside
  export CONFIG CHECKPOINT --out net.onnx --shape 320 320 --batch 8
  export CONFIG CHECKPOINT --out net.onnx --dynamic
  export CONFIG CHECKPOINT --out folder           a detector with two stages

Before a file is written, ONNX Runtime runs it and its results are compared with the
detector's; where they differ, nothing is written and the exit status is 2.
"""

from mmeff.cli import config_parser, run

PLACES = ('outside', 'inside')
MAX_LISTED = 8  # outputs of a file


def main(argv=None) -> None:
    parser = config_parser(__doc__)
    parser.add_argument('checkpoint', help='weights of the detector')
    parser.add_argument(
        '--out', required=True, help='file ending in .onnx; with two stages a folder'
    )
    parser.add_argument(
        '--post',
        choices=PLACES,
        default='outside',
        help='inside: the file puts out boxes; outside: the maps of the head (default)',
    )
    parser.add_argument(
        '--pre',
        choices=PLACES,
        default='outside',
        help='inside: the file takes uint8 images as cv2.imread gives them; outside: '
        'normalised ones (default)',
    )
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='of images (default: what the test pipeline resizes to)',
    )
    parser.add_argument(
        '--batch', type=int, default=1, metavar='N', help='images at a time'
    )
    parser.add_argument(
        '--dynamic', action='store_true', help='let batch, height and width vary'
    )
    parser.add_argument('--opset', type=int, help='of ONNX, 18 or higher (default: 20)')
    parser.add_argument('--image', help='what to check with (default: a synthetic one)')
    args = parser.parse_args(argv)

    from mmeff.apis.export import export_detector
    from mmeff.deploy.onnx_part import OPSET
    from mmeff.errors import UserError

    if args.dynamic and (args.shape or args.batch != 1):
        raise UserError('--dynamic lets sizes vary; leave out --shape and --batch')
    shape = tuple(args.shape) if args.shape else 'pipeline'
    files = export_detector(
        args.config,
        args.checkpoint,
        args.out,
        post=args.post,
        pre=args.pre,
        batch=None if args.dynamic else args.batch,
        shape=None if args.dynamic else shape,
        opset=OPSET if args.opset is None else args.opset,
        image=args.image,
        cfg_options=args.cfg_options,
        progress=lambda line: print(line, flush=True),
    )
    for file in files:
        print(f'\n{file.path} ({file.size_mb:.1f} MB)')
        print(_listed('in ', file.inputs))
        print(_listed('out', file.outputs))


def _listed(title: str, tensors: dict) -> str:
    lines = [
        f'  {title}  {name} ({", ".join(map(str, shape))})'
        for name, shape in tensors.items()
    ]
    hidden = len(lines) - MAX_LISTED
    return '\n'.join(
        lines[:MAX_LISTED] + [f'  {title}  and {hidden} more'] * (hidden > 0)
    )


if __name__ == '__main__':
    raise SystemExit(run(main))
