import os
import resource
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from mmeff import cli

from processes import DOWNSTREAM

TOOLS = Path(__file__).parents[2] / 'tools'
PAGE = os.sysconf('SC_PAGE_SIZE')


@pytest.fixture
def refusal(tmp_path, monkeypatch, capfd):
    """refusal(tool, *arguments) -> the one message of a tool that refuses its input."""
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

    yield call
    # the loggers write to this test's stdout, which is closed when the next one runs
    MMLogger._instance_dict.clear()


@pytest.fixture
def little_memory():
    """What is asked for beyond 1 GiB is not there."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
