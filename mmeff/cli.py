"""The `mmeff` command and what all tools share: arguments, devices, error messages.

A tool is a file in `tools/` with `main(argv)`: it parses, calls one function of
`mmeff.apis` and prints. `mmeff train ...` runs `tools/train.py` as it travels with the
package, so that those who installed a wheel have the same commands.
"""

import argparse
import ast
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from mmeff.errors import UserError, escape

TOOLS = Path(__file__).parent / '.mim' / 'tools'


def tool_parser(doc: str) -> argparse.ArgumentParser:
    """Parser of a tool.

    Args:
        doc: The tool's docstring: first line is the description, the rest the epilog.
    """
    description, _, epilog = doc.partition('\n')
    return argparse.ArgumentParser(
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def config_parser(doc: str) -> argparse.ArgumentParser:
    """Parser of a tool that starts from a config: `config --cfg-options --device`."""
    from mmengine.config import DictAction

    parser = tool_parser(doc)
    parser.add_argument(
        'config', help='config file, or the name of one that comes with mmeff'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, such as optim_wrapper.optimizer.lr=0.01',
    )
    add_device(parser)
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    """Argument of the tools that compute."""
    parser.add_argument(
        '--device',
        action=_HandledEarly,
        default=argparse.SUPPRESS,
        help='cpu, cuda or cuda:N (default: a GPU when there is one)',
    )


class _HandledEarly(argparse.Action):
    """Documents --device in a tool's help; `_select_device` has acted on it already."""

    def __call__(self, *_):
        pass


def add_data(parser: argparse.ArgumentParser) -> None:
    """Arguments of the tools that run on a data set."""
    parser.add_argument('--work-dir', help='default: work_dirs/<config>')
    parser.add_argument(
        '--data', help="folder in COCO, VOC or YOLO layout, or 'shapes' (generated)"
    )
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help='use only these classes of --data'
    )
    parser.add_argument('--preset', help='settings to merge, such as `quick`')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )


def _select_device(argv: Sequence[str]) -> None:
    """Show this process only the device asked for.

    mmengine picks the first visible GPU when it is imported, so the choice is made
    through the environment and before that.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--device')
    device = parser.parse_known_args(argv)[0].device
    if device is None:
        return
    kind, _, index = device.partition(':')
    if kind not in ('cpu', 'cuda') or (index and not index.isdecimal()):
        raise UserError(f'--device {device}: expected cpu, cuda or cuda:N')
    if kind == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    elif index:
        visible = [
            v for v in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if v
        ]
        if visible and int(index) >= len(visible):
            raise UserError(f'--device {device}: only {len(visible)} GPUs are visible')
        os.environ['CUDA_VISIBLE_DEVICES'] = visible[int(index)] if visible else index
    if kind == 'cuda':
        import torch

        if not torch.cuda.is_available():
            raise UserError(
                f'--device {device}: torch {torch.__version__} sees no such GPU; '
                'use --device cpu or check the driver (nvidia-smi)'
            )


def run(
    main: Callable[[Sequence[str]], None], argv: Sequence[str] | None = None
) -> int:
    """Run a tool's `main`; a `UserError` becomes one message and its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        _select_device(argv)
        main(argv)
    except UserError as error:
        print(f'error: {_own_message(error)}', file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    except ImportError as error:
        if error.name != 'mmcv':
            raise
        print(
            'error: mmcv is not installed. `pip install "mmeff[lite]"` brings the '
            'pure-Python build that mmeff needs; a compiled mmcv 2.1 works as well.',
            file=sys.stderr,
        )
        return 2
    return 0


def _own_message(error: UserError) -> str:
    """The message alone: one raised in a DataLoader worker carries its traceback.

    It may name files of strangers, whose names may have characters that act on a terminal.
    """
    text = str(error)
    if text.startswith('Caught '):
        text = text.rpartition(f'{UserError.__name__}: ')[2].strip()
    return '\n'.join(map(escape, text.split('\n')))


def _load_tool(path: Path):
    loader = SourceFileLoader(f'mmeff_tool_{path.stem}', str(path))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def _summary(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text('utf-8'))).split('\n')[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `mmeff` command: `mmeff TOOL ARGUMENTS`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    tools = {path.stem: path for path in sorted(TOOLS.rglob('*.py'))}
    if not argv or argv[0] not in tools:
        width = max(map(len, tools))
        lines = [f'  {name:<{width}}  {_summary(path)}' for name, path in tools.items()]
        text = '\n'.join(['usage: mmeff TOOL [arguments]', '', *lines])
        asked_for_help = not argv or argv[0] in ('-h', '--help')
        if not asked_for_help:
            text = f'error: no tool {argv[0]!r}\n{text}'
        print(text, file=sys.stdout if asked_for_help else sys.stderr)
        return 0 if asked_for_help else 2
    name, *rest = argv
    sys.argv = [f'mmeff {name}', *rest]  # what usage messages and mmengine show
    return run(_load_tool(tools[name]).main, rest)
