"""Measure detectors: parameters, operations, latency, FPS, memory, energy.

examples:
  benchmark vovnet39_maskrcnn.py                        random weights, no data needed
  benchmark vovnet39_maskrcnn.py --checkpoint work_dirs/vovnet39_maskrcnn/epoch_36.pth
  benchmark ssdlite320_mobilenetv2_coco.py pelee304_voc.py --shape 320 320   in turns
  benchmark vovnet39_maskrcnn.py --device cpu --threads 4 --energy --layers
  benchmark vovnet39_maskrcnn.py --rounds 1 --min-runs 10 --min-seconds 0   a quick look
  benchmark ssdlite320_mobilenetv2_coco.py --backend all --regions detect pipeline

What each number means: docs/benchmark.md
"""

import sys

from rich.console import Console

from mmeff.apis.benchmark_view import (
    interrupt_on_terminate,
    print_backends,
    print_result,
    twin_remarks,
)
from mmeff.apis.live_line import live_line
from mmeff.cli import config_parser, run


def main(argv=None) -> None:
    args = _parse(argv)
    # files and pipes have no width; tables should not break there
    width = None if sys.stdout.isatty() else 120
    console = Console(width=width, highlight=False, markup=False)
    configs = [args.config, *args.configs]
    done = []
    try:
        with interrupt_on_terminate(), live_line(console) as progress:
            from mmeff.apis.benchmark import benchmark

            benchmark(
                configs,
                args.checkpoint,
                _options(args),
                cfg_options=args.cfg_options,
                out_dir=args.out,
                progress=progress,
                done=done.append,
            )
    except KeyboardInterrupt:
        files = [result['file'] for result in done]
        console.print(
            f'{len(done)} results are written: {", ".join(files)}', soft_wrap=True
        )
        raise
    if len({result['settings']['backend'] for result in done}) > 1:
        print_backends(console, done)
    else:
        for result in done:
            print_result(console, result)
    for line in twin_remarks(done):
        console.print(line, soft_wrap=True)


def _options(args):
    from mmeff.apis.benchmark_options import Options
    from mmeff.profiling.latency import Budget

    return Options(
        shape=args.shape,
        image=args.image,
        batch=args.batch,
        precision=args.precision,
        channels_last=args.channels_last,
        fuse_conv_bn=args.fuse_conv_bn,
        compile=args.compile,
        threads=args.threads,
        regions=args.regions,
        energy_windows=3 if args.energy else 0,
        layers=args.layers,
        budget=Budget(args.rounds, args.min_runs, args.min_seconds, args.max_seconds),
        backends=tuple(args.backend),
    )


def _parse(argv):
    parser = config_parser(__doc__)
    parser.add_argument(
        'configs', nargs='*', metavar='config', help='more of them, measured in turns'
    )
    parser.add_argument(
        '--checkpoint', nargs='+', help='weights of each config (default: random)'
    )
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help="image size (default: that of the config's test pipeline)",
    )
    parser.add_argument('--image', help='image file to run on (default: synthetic)')
    parser.add_argument('--batch', type=int, default=1, help='images per run')
    parser.add_argument(
        '--backend',
        nargs='+',
        default=['mmdet'],
        metavar='NAME[:PRECISION]',
        help='what runs the networks: mmdet (as it is), torch, compile, onnxruntime, '
        'openvino, tensorrt, or all that can be used; several take turns',
    )
    parser.add_argument(
        '--precision',
        choices=['fp32', 'tf32', 'fp16', 'bf16', 'amp-fp16', 'amp-bf16'],
        default='fp32',
        help='amp-* is what mmdet itself calls fp16 and bf16',
    )
    parser.add_argument(
        '--compile', action='store_true', help='torch.compile of backbone, neck, heads'
    )
    parser.add_argument(
        '--channels-last', action='store_true', help='channels innermost in memory'
    )
    parser.add_argument(
        '--fuse-conv-bn', action='store_true', help='fold batch norms into convolutions'
    )
    parser.add_argument('--threads', type=int, help='CPU threads of torch')
    parser.add_argument(
        '--regions',
        nargs='+',
        choices=['forward', 'detect', 'pipeline', 'api'],
        help='what to time (default: forward detect, and pipeline with --image)',
    )
    parser.add_argument(
        '--energy', action='store_true', help='joules per image, 40 seconds a config'
    )
    parser.add_argument(
        '--layers',
        action='store_true',
        help='time of each layer, and roofline; of other backends the roofline only',
    )
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--min-runs', type=int, default=200, help='of a round')
    parser.add_argument('--min-seconds', type=float, default=10, help='of a round')
    parser.add_argument(
        '--max-seconds', type=float, default=60, help='of a round, whatever --min-runs'
    )
    parser.add_argument('--out', default='results', help='folder of the JSON files')
    return parser.parse_args(argv)


if __name__ == '__main__':
    raise SystemExit(run(main))
