"""Evaluate a trained detector: COCO and VOC metrics.

examples:
  test vovnet39_maskrcnn.py best.pth                    COCO val2017
  test work_dirs/run/vovnet39_maskrcnn.py best.pth      the data it was trained on
  test vovnet39_maskrcnn.py best.pth --data path/to/folder
  test vovnet39_maskrcnn.py best.pth --backend openvino --precision bf16
  test ssdlite320_mobilenetv2_coco.py ssdlite.onnx --backend onnxruntime
"""

from mmeff.cli import add_data, config_parser, run


def main(argv=None) -> None:
    parser = config_parser(__doc__)
    parser.add_argument('checkpoint', help='weights, or what mmeff export wrote')
    add_data(parser)
    parser.add_argument('--out', metavar='FILE.pkl', help='save raw predictions')
    parser.add_argument('--show-dir', help='save pictures of the predictions')
    parser.add_argument(
        '--backend',
        default='mmdet',
        metavar='NAME',
        help='what runs the networks: mmdet (as it is), torch, compile, onnxruntime, '
        'openvino, tensorrt, or auto, the fastest that agrees',
    )
    parser.add_argument(
        '--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32', help='of it'
    )
    args = vars(parser.parse_args(argv))

    from mmeff.apis.test import test

    metrics = test(**args)
    if not metrics:
        print(
            'no detections in any image: every AP is 0 (see model.test_cfg score_thr)'
        )
    for name, value in metrics.items():
        print(f'{name:<28} {value:.4f}')


if __name__ == '__main__':
    raise SystemExit(run(main))
