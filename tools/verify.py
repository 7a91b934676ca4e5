"""Compare every network with what was published, and write docs/fidelity*.md.

examples:
  verify                                all families, about five minutes on two cores
  verify --families GhostNet VoVNet     some, nothing is written
  verify --detectors                    detectors, half a minute
  verify --speed                        time against timm and others, 40 minutes, alone

Ends with status 1 if a count or an output differs. Needs the reference libraries:
pip install "mmeff[test]".
"""

import argparse
import sys

from mmeff.cli import run, tool_parser


def main(argv=None) -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('--families', nargs='+', default=[], metavar='NAME')
    parser.add_argument(
        '--out',
        metavar='FILE.md',
        help='default: a page in docs, when all are checked',
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--detectors', action='store_true', help='count the detectors')
    what.add_argument('--speed', action='store_true', help='time, do not compare')
    parser.add_argument('--batch-size', type=int, default=4, help='with --speed')
    args = parser.parse_args(argv)

    if args.speed:
        _speed(args)
    elif not (_detectors if args.detectors else _fidelity)(args):
        sys.exit(1)


def _fidelity(args: argparse.Namespace) -> bool:
    from mmeff.apis.verify import is_exact, verify
    from mmeff.fidelity.page import difference

    def report(result) -> None:
        row = result.row
        differences = [difference(result, d) for d in result.difference or {}] or ['-']
        print(
            f'{"ok " if is_exact(result) else "BAD"} {row.name:<34} '
            f'{result.params:>12,} params {result.macs / 1e6:>9,.1f} MMACs  '
            f'difference {" ".join(differences):<12} {row.reference or "(no library)"}',
            flush=True,
        )

    out = args.out or (None if args.families else 'docs/fidelity.md')
    results = verify(args.families, out, report)
    wrong = [result.row for result in results if not is_exact(result)]
    print(f'{len(results) - len(wrong)} of {len(results)} networks as published')
    for row in wrong:
        print(f'  {row.name}: expected {row.params:,} params, {row.macs}')
    return not wrong


def _detectors(args: argparse.Namespace) -> bool:
    from mmeff.apis.verify import verify_detectors
    from mmeff.fidelity.page import shares

    def report(result) -> None:
        row = result.row
        print(
            f'{"ok " if result.counts_agree else "BAD"} {row.name:<44} '
            f'{result.params:>12,} params {result.macs / 1e9:>9,.3f} GMACs  '
            f'published {row.published[0] or "-"}, {row.published[1] or "-"}',
            flush=True,
        )
        print(f'      {shares(result)}')

    out = args.out or (None if args.families else 'docs/fidelity-detectors.md')
    results = verify_detectors(args.families, out, report)
    wrong = [result.row for result in results if not result.counts_agree]
    print(f'{len(results) - len(wrong)} of {len(results)} detectors as expected')
    for row in wrong:
        print(f'  {row.name}: expected {row.params:,} params, {row.macs}')
    return not wrong


def _speed(args: argparse.Namespace) -> None:
    from mmeff.apis.verify import verify_speed

    def report(speed) -> None:
        low, high = speed.quartiles
        print(
            f'{speed.row.name:<34} {speed.mode:<14} {speed.direction:<10} '
            f'{speed.ours_ms:>8.1f} ms, {speed.ratio:.2f} times as fast as '
            f'{speed.row.reference} ({low:.2f} to {high:.2f})',
            flush=True,
        )

    out = args.out or (None if args.families else 'docs/throughput.md')
    verify_speed(args.families, out, args.batch_size, report)


if __name__ == '__main__':
    raise SystemExit(run(main))
