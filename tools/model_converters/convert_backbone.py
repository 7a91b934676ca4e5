"""Write published ImageNet weights as a file in mmeff's own layout.

examples:
  convert_backbone MobileNetV2 mobilenet_v2-b0353104.pth mobilenet_v2.safetensors
  convert_backbone GhostNet ghostnet_1x.pth ghostnet.pth --options widen_factor=1.0
  convert_backbone VoVNet timm://ese_vovnet39b.ra_in1k vovnet.pth \\
    --options arch=v2-39 form=timm

Files of the authors, timm and torchvision are recognised by their keys. This is not
needed for training: init_cfg=dict(type='Pretrained', checkpoint=FILE) reads the same
files as they are.
"""

from mmengine.config import DictAction

from mmeff.cli import run, tool_parser


def main(argv=None) -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('family', help='a backbone of mmeff, such as GhostNet')
    parser.add_argument('checkpoint', help='file, URL, timm://NAME, torchvision://NAME')
    parser.add_argument('out', help='file to write: .pth or .safetensors')
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='arguments of the backbone; num_classes=1000 keeps the classifier',
    )
    parser.add_argument('--prefix', help='take only keys that begin so: backbone.')
    args = parser.parse_args(argv)

    from mmeff.apis.convert import convert_backbone

    print(
        convert_backbone(
            args.family, args.checkpoint, args.out, args.options or {}, args.prefix
        )
    )


if __name__ == '__main__':
    raise SystemExit(run(main))
