"""Command lines and names of configs in the documents are those that there are.

They are parsed by the tools' own parsers, not run.
"""

import argparse
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmeff import cli

from documents import DOCUMENTS, ROOT, Command, code_blocks, commands

TOOLS = {path.stem: path for path in sorted((ROOT / 'tools').rglob('*.py'))}
CONFIGS = {path.stem for path in (ROOT / 'configs').glob('*.py')}
# Names in examples that stand for files of the reader.
STANDS_FOR = {'A', 'detect', 'net', 'tinynet', 'tinynet_retinanet', 'two_stages'}
PYTHON_FILE = re.compile(r'(?<![\w<>*:/.-])(?:mmdet::|mmeff::)?([\w./-]+\.py)\b')
CONFIG = re.compile(
    r'`([\w-]+_(?:coco|voc|retinanet|rtmdet|maskrcnn|fasterrcnn(?:-fpnlite)?))`'
)


@pytest.fixture(autouse=True)
def stop_after_parsing(monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, *args, **options):
        parse(self, *args, **options)
        raise SystemExit(0)  # accepted: go no further

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_and_stop)


def tool_call(command: Command) -> tuple[str, list[str]] | None:
    """Tool and arguments of a command that calls one of mmeff's tools."""
    words = command.words if 'mmeff ' in command.line or '.py' in command.line else []
    for i, word in enumerate(words):
        path = Path(word)
        if word == 'mmeff' and i + 1 < len(words):
            return words[i + 1], words[i + 2 :]
        if path.suffix == '.py' and path.parts[0] == 'tools':
            return path.stem, words[i + 1 :]
    return None


def is_elided(command: Command) -> bool:
    """The rest of the line is left to the reader, as in `mmeff train ...`."""
    return '...' in command.line or (command.inline and command.line.count(' ') < 3)


CALLS = {
    str(command): (command, *call)
    for command in commands()
    if re.match(r'([A-Z_]+=\S+ )*(mmeff|python|torchrun|srun) ', command.line)
    and not is_elided(command)
    and (call := tool_call(command))
}


def test_the_documents_have_command_lines_of_most_tools():
    assert len({tool for _, tool, _ in CALLS.values()}) > 12
    assert {'README.md', 'docs/quickstart.md'} <= {
        c.document for c, *_ in CALLS.values()
    }


@pytest.mark.parametrize('line', CALLS)
def test_tools_accept_the_arguments(line, capsys):
    command, tool, arguments = CALLS[line]
    assert tool in TOOLS, f'{line}: no such tool'
    with pytest.raises(SystemExit) as ended:
        cli._load_tool(TOOLS[tool]).main(arguments)
    message = capsys.readouterr().err
    left_out = command.inline and 'arguments are required' in message
    assert ended.value.code == 0 or left_out, f'{line}\n{message}'


def test_targets_of_make_exist():
    makefile = (ROOT / 'Makefile').read_text()
    targets = set(re.search(r'^\.PHONY: (.*)$', makefile, re.MULTILINE)[1].split())
    asked = {c.words[1] for c in commands() if re.match(r'make [\w-]+', c.line)}
    assert asked
    assert asked <= targets


def test_extras_that_are_installed_exist():
    setup = (ROOT / 'setup.py').read_text()
    extras = {
        extra
        for command in commands()
        if command.line.startswith('pip ')
        for group in re.findall(r'(?:mmeff|\.)\[([\w,]+)\]', command.line)
        for extra in group.split(',')
    }
    assert 'lite' in extras
    assert all(f"'{extra}': [" in setup for extra in extras), extras


@pytest.fixture(scope='module')
def python_files() -> list[str]:
    """Python files of the repository and mmdet's configs, with a slash before them."""
    names = ('configs', 'docs', 'examples', 'mmeff', 'tests', 'tools')
    folders = [ROOT / name for name in names]
    mmdet = Path(find_spec('mmdet').origin).parent
    folders.append(mmdet / '.mim' / 'configs')
    found = [f'/{p.relative_to(f.parent)}' for f in folders for p in f.rglob('*.py')]
    return ['/setup.py', *found]


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_python_files_and_configs_that_are_named_exist(path, python_files):
    text = path.read_text('utf-8')
    missing = [
        name
        for name in set(PYTHON_FILE.findall(text))
        if Path(name).stem not in CONFIGS | STANDS_FOR  # also copies in a work dir
        and not any(file.endswith(f'/{name.lstrip("./")}') for file in python_files)
    ]
    missing += [name for name in CONFIG.findall(text) if name not in CONFIGS]
    assert not missing


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_python_in_the_documents_is_python(path):
    for language, block in code_blocks(path):
        if language == 'python':
            lines = block.splitlines()
            indent = min(len(s) - len(s.lstrip()) for s in lines if s.strip())
            compile('\n'.join(line[indent:] for line in lines), path.name, 'exec')
