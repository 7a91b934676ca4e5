"""What tests that start processes share."""

import os
from pathlib import Path

DOWNSTREAM = Path(__file__).parent / 'downstream'


def clean_env() -> dict[str, str]:
    return {
        **os.environ,
        'CUDA_VISIBLE_DEVICES': '',
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': str(DOWNSTREAM),
    }
