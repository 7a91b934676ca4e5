"""Predict on images, folders or videos: drawn pictures and COCO-format JSON.

examples:
  predict CONFIG CHECKPOINT photo.jpg
  predict CONFIG CHECKPOINT photos/ clip.mp4 --out-dir results
  predict CONFIG CHECKPOINT 'photos/**/*_left.png' --pred-score-thr 0.5
  predict CONFIG CHECKPOINT photos/ --batch-size 8 --no-save-vis
  predict CONFIG CHECKPOINT photos/ --backend auto --threads 4
  predict CONFIG CHECKPOINT photos/ --num-workers 8
  torchrun --nproc_per_node 8 tools/predict.py CONFIG CHECKPOINT photos/ --launcher pytorch

A folder is searched with its subfolders. Results keep the names of the inputs:
OUT_DIR/vis/*.jpg (videos: *.mp4) and OUT_DIR/predictions.json. Files that cannot be read
are skipped, listed at the end, and make the exit status 2. Workers and launched processes
share the inputs, a video stays whole; the results are those of a single process.
"""

from mmeff.cli import config_parser, run

MAX_LISTED = 20
BACKENDS = 'mmdet', 'torch', 'compile', 'onnxruntime', 'openvino', 'tensorrt', 'auto'


def main(argv=None) -> None:
    parser = config_parser(__doc__)
    parser.add_argument('checkpoint', help='weights of the detector')
    parser.add_argument(
        'inputs', nargs='+', help='images, videos, folders of images or glob patterns'
    )
    parser.add_argument('--out-dir', default='outputs', help='default: outputs')
    parser.add_argument(
        '--pred-score-thr',
        type=float,
        default=0.3,
        metavar='SCORE',
        help='leave boxes up to this score out of pictures and JSON (default: 0.3); '
        'test_cfg.score_thr of the config applies before',
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, metavar='N', help='images at a time'
    )
    parser.add_argument(
        '--no-save-vis', action='store_true', help='draw no pictures (faster)'
    )
    parser.add_argument('--no-save-pred', action='store_true', help='write no JSON')
    _add_speed(parser)
    args = parser.parse_args(argv)

    from mmengine.dist import is_main_process

    from mmeff.apis.predict import predict
    from mmeff.errors import UserError

    summary = predict(
        args.config,
        args.checkpoint,
        args.inputs,
        args.out_dir,
        pred_score_thr=args.pred_score_thr,
        batch_size=args.batch_size,
        draw=not args.no_save_vis,
        save_json=not args.no_save_pred,
        backend=args.backend,
        precision=args.precision,
        threads=args.threads,
        num_workers=args.num_workers,
        launcher=args.launcher,
        cfg_options=args.cfg_options,
        progress=True,
    )
    if not is_main_process():
        return
    print(_report(summary, args))
    if summary.failures:
        listed = [f'  {failure}' for failure in summary.failures[:MAX_LISTED]]
        hidden = len(summary.failures) - len(listed)
        listed += [f'  ... and {hidden} more'] * (hidden > 0)
        number = len(summary.failures)
        count = '1 input' if number == 1 else f'{number} inputs'
        title = f'{count} could not be read (to the end); all others are done:'
        raise UserError('\n'.join([title, *listed]))


def _add_speed(parser) -> None:
    parser.add_argument(
        '--backend',
        choices=BACKENDS,
        default='mmdet',
        help='what runs the networks (default: mmdet, the detector as it is); auto '
        'measures and takes the fastest that finds the same',
    )
    parser.add_argument(
        '--precision',
        choices=['fp32', 'bf16', 'fp16'],
        default='fp32',
        help='of the networks, with a backend other than mmdet',
    )
    parser.add_argument(
        '--threads', type=int, metavar='N', help='of an operator on a CPU'
    )
    parser.add_argument(
        '--num-workers',
        type=int,
        default=1,
        metavar='N',
        help='processes on this machine; they divide the threads (default: 1)',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='pytorch under torchrun, slurm under srun; out-dir must be shared',
    )


def _report(summary, args) -> str:
    lines = [
        f'{summary.num_images} images, {summary.num_boxes} boxes with a score above '
        f'{args.pred_score_thr:g}',
        f'loading {summary.loading_ms:.1f} ms/img, model {summary.model_ms:.1f} ms/img'
        f'{_drawing(summary.drawing_ms)} (medians)',
        f'backend: {summary.backend}, {args.precision}',
    ]
    if not args.no_save_vis:
        lines.append(f'pictures: {args.out_dir}/vis')
    if not args.no_save_pred:
        lines.append(f'predictions: {args.out_dir}/predictions.json')
    return '\n'.join(lines)


def _drawing(milliseconds: float | None) -> str:
    return '' if milliseconds is None else f', drawing {milliseconds:.1f} ms/img'


if __name__ == '__main__':
    raise SystemExit(run(main))
