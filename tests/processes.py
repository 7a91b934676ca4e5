"""What tests that start processes share."""

import os
from pathlib import Path

# The project that examples/ shows is the one that the tests build on.
DOWNSTREAM = Path(__file__).parents[1] / 'examples' / 'downstream'


def clean_env() -> dict[str, str]:
    return {
        **os.environ,
        'CUDA_VISIBLE_DEVICES': '',
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': str(DOWNSTREAM),
    }
