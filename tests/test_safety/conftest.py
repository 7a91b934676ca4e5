import os
import resource
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'
PAGE = os.sysconf('SC_PAGE_SIZE')


@pytest.fixture
def little_memory():
    """What is asked for beyond 1 GiB is not there."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
