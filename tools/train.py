"""Train a detector, on the config's data or on a folder of yours.

examples:
  train vovnet39_maskrcnn.py                          COCO, as in the paper
  train vovnet39_maskrcnn.py --data path/to/folder    COCO, VOC or YOLO layout
  train vovnet39_maskrcnn.py --data shapes --preset quick --amp
  train vovnet39_maskrcnn.py --data shapes --resume
  train vovnet39_maskrcnn.py --data shapes --ema --early-stop 5 --nan-guard skip
"""

from mmeff.cli import add_data, config_parser, run


def main(argv=None) -> None:
    parser = config_parser(__doc__)
    add_data(parser)
    parser.add_argument(
        '--amp', action='store_true', help='float16 on a GPU, bfloat16 on a CPU'
    )
    parser.add_argument(
        '--channels-last',
        action='store_true',
        help='another order in memory, often faster',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the rate with the batch size, where the config does not do it',
    )
    parser.add_argument(
        '--accumulate',
        type=int,
        metavar='BATCHES',
        help='make one step of the gradients of so many batches',
    )
    parser.add_argument(
        '--ema',
        nargs='?',
        const=True,
        default=False,
        type=float,
        metavar='MOMENTUM',
        help='evaluate and save averaged weights (momentum: 0.0002)',
    )
    parser.add_argument(
        '--early-stop',
        type=int,
        metavar='PATIENCE',
        help='stop after so many evaluations in a row without a better metric',
    )
    parser.add_argument(
        '--nan-guard',
        choices=['stop', 'skip'],
        help='what to do when a loss or gradient is not finite (default: stop)',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or from the latest in the work dir',
    )
    args = vars(parser.parse_args(argv))

    from mmeff.apis.train import train

    runner = train(**args)
    print(f'checkpoints and logs: {runner.work_dir}')
    print(f'best checkpoint: {runner.message_hub.runtime_info.get("best_ckpt")}')


if __name__ == '__main__':
    raise SystemExit(run(main))
