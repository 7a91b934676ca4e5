"""Shared by all tests: mmeff's hooks first, one thread, the real data when it is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mmeff  # noqa: F401  before anything imports mmdet

from processes import clean_env


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
