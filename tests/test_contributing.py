"""The walk of CONTRIBUTING.md, done as it is written."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from processes import clean_env

ROOT = Path(__file__).parents[1]
FENCE = r'```{kind}\n(?P<text>.*?)```'
FILE = r'`(?P<file>[\w./-]+)`:\n\n```(?P<kind>python|diff)\n(?P<text>.*?)```'
WALK = (ROOT / 'CONTRIBUTING.md').read_text('utf-8').partition('## Add a backbone')[2]


def apply_diff(text: str, diff: str) -> str:
    """Put the lines with a plus where the others are, which must be there once."""
    lines = diff.splitlines()
    before = '\n'.join(line[1:] for line in lines if not line.startswith('+'))
    after = '\n'.join(line[1:] for line in lines)
    assert text.count(before) == 1, before
    return text.replace(before, after)


@pytest.fixture
def copy(tmp_path) -> Path:
    """What the steps touch and the tests need, away from the clone."""
    for name in ('mmeff', 'configs', 'tools', 'tests', 'examples'):
        ignore = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignore)
    for name in ('pyproject.toml', 'model-index.yml'):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_a_backbone_added_by_the_steps_passes_the_tests_of_all_backbones(copy):
    steps = list(re.finditer(FILE, WALK, re.DOTALL))
    assert len(steps) == len(re.findall(r'```(?:python|diff)\n', WALK)) > 1
    for step in steps:
        path, text = copy / step['file'], step['text']
        if step['kind'] == 'diff':
            text = apply_diff(path.read_text('utf-8'), text)
        else:
            assert not path.exists(), f'{path} is there already'
        path.write_text(text, 'utf-8')
    (command,) = re.finditer(FENCE.format(kind='bash'), WALK, re.DOTALL)
    program, *arguments = shlex.split(command['text'])
    assert program == 'python'
    process = subprocess.run(
        [sys.executable, *arguments, '-p', 'no:cacheprovider'],
        cwd=copy,
        env={**clean_env(), 'PYTHONPATH': str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr
    contract = (ROOT / 'tests/test_models/test_backbones/test_contract.py').read_text()
    passed = re.search(r'(\d+) passed', process.stdout)
    assert int(passed[1]) > contract.count('\ndef test_')


def test_its_files_are_formatted_and_named(tmp_path):
    for step in re.finditer(FILE, WALK, re.DOTALL):
        if step['kind'] == 'python':
            path = tmp_path / Path(step['file']).name
            path.write_text(step['text'], 'utf-8')
    ruff = [sys.executable, '-m', 'ruff', '--config', ROOT / 'pyproject.toml']
    for command in (['check'], ['format', '--check']):
        call = [*ruff[:3], *command, *ruff[3:], tmp_path]
        process = subprocess.run(call, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stdout + process.stderr
