"""Shared by all tests: mmeff's hooks first, one thread, the real data when it is there."""

import os
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

import mmeff  # noqa: F401  before anything imports mmdet
from mmeff import cli

from processes import DOWNSTREAM, clean_env

TOOLS = Path(__file__).parents[1] / 'tools'
NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(autouse=True)
def _own_loggers():
    """Loggers of mmengine are made anew: those of other tests write to closed streams."""
    logger = sys.modules.get('mmengine.logging.logger')
    if logger is not None:
        logger.MMLogger._instance_dict.clear()


@pytest.fixture(scope='session')
def real_data() -> Path:
    """The folder with `bccd` and `coco128`."""
    if not os.environ.get('MMEFF_DATA'):
        pytest.skip('MMEFF_DATA is not set')
    return Path(os.environ['MMEFF_DATA'])


@pytest.fixture(scope='session')
def tiny_shapes(tmp_path_factory) -> Path:
    """Eight train and four val images of 64 x 64, in COCO and VOC form."""
    from mmeff.datasets import make_shapes

    return make_shapes(tmp_path_factory.mktemp('tiny') / 'shapes', 8, 4, (64, 64))


@pytest.fixture
def python(tmp_path):
    """python(*arguments) -> finished process, in a folder of its own and on the CPU."""

    def run(*arguments, check=True, **env):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env={**clean_env(), **env},
            capture_output=True,
            text=True,
            check=check,
        )

    return run


@pytest.fixture(scope='module')
def browser():
    """A real one, by playwright."""
    playwright = pytest.importorskip('playwright.sync_api', reason='no playwright')
    if CHROMIUM is None:
        pytest.skip(f'no Chromium: none of {", ".join(NAMES)} is on the path')
    with playwright.sync_playwright() as driver:
        # containers often have no user namespaces for the sandbox
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=['--no-sandbox']
        )
        yield chromium
        chromium.close()


@pytest.fixture
def message(tmp_path, monkeypatch, capfd):
    """message(tool, *arguments) -> the one message of a tool that refuses its input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(DOWNSTREAM)

    def call(tool: str, *arguments) -> str:
        file = next(TOOLS.rglob(f'{tool}.py'))
        loader = SourceFileLoader(tool, str(file))
        module = module_from_spec(spec_from_loader(tool, loader))
        loader.exec_module(module)
        assert cli.run(module.main, [str(a) for a in arguments]) == 2
        error = capfd.readouterr().err.strip().splitlines()
        assert error[-1].startswith('error: ')
        return error[-1]

    return call
