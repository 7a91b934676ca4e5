"""Every patch is still needed: a test fails here when upstream mends its defect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmeff import _hooks

PATCHES = sorted({name for names in _hooks.PATCHES.values() for name in names})


@pytest.fixture(scope='module')
def upstream() -> dict[str, bool]:
    script = Path(__file__).with_name('upstream.py')
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': ''}
    run = subprocess.run(
        [sys.executable, str(script)], env=env, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize('name', PATCHES)
def test_upstream_still_has_the_defect(upstream, name):
    assert upstream[name], f'mended upstream: delete mmeff/compat/{name}.py'


def test_every_compat_file_is_in_the_table():
    folder = Path(_hooks.__file__).parent / 'compat'
    files = {path.stem for path in folder.glob('*.py')} - {'__init__'}
    assert files == set(PATCHES)
