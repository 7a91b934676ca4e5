"""Weights to the byte, and a peak that has what was allocated in it."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mmeff.profiling import memory
from mmeff.profiling.memory import measure_memory, weights_mb

MIB = 2**20
MEASURE_200_MIB = """
import json, torch
from mmeff.profiling.memory import measure_memory
before = torch.ones(100 * 2**20)  # an earlier peak, which is not the region's
del before
runs = (lambda: None, lambda: torch.ones(50 * 2**20))
print(json.dumps([measure_memory(run, torch.nn.Identity(), 'cpu') for run in runs]))
"""


def test_weights_are_parameters_and_buffers_once_each():
    conv = nn.Conv2d(4, 8, 3)  # 8 * 4 * 9 + 8
    norm = nn.BatchNorm2d(8)  # 4 * 8, and a counter of eight bytes
    model = nn.ModuleList([conv, norm, conv])
    assert weights_mb(model) * MIB == (296 + 32) * 4 + 8
    assert weights_mb(nn.Linear(3, 5, bias=False).half()) * MIB == 15 * 2


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='no Linux')
def test_peak_of_a_cpu_is_the_highest_of_the_region_alone(python):
    # in a process of its own: memory that other tests freed may be used again
    idle, busy = json.loads(python('-c', MEASURE_200_MIB).stdout)
    assert busy['peak_rss_mb'] - idle['peak_rss_mb'] == pytest.approx(200, abs=20)
    assert busy['peak_allocated_mb'] is busy['peak_reserved_mb'] is None
    assert 'peak_rss_mb' in busy['reasons']['peak_allocated_mb']


def test_kernel_that_keeps_no_peak_is_a_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, 'CLEAR', tmp_path / 'none' / 'clear_refs')
    told = measure_memory(lambda: None, nn.Identity(), 'cpu')
    assert told['peak_rss_mb'] is None
    assert 'clear_refs: No such file' in told['reasons']['peak_rss_mb']


@pytest.mark.gpu
def test_peak_of_a_gpu_has_weights_and_activations():
    model = nn.Linear(1024, 1024, device='cuda')  # 4 MiB
    x = torch.zeros(8192, 1024, device='cuda')  # 32 MiB, and as much comes out
    with torch.no_grad():
        seen = measure_memory(lambda: model(x), model, 'cuda')
    assert seen['weights_mb'] == pytest.approx(4, abs=0.01)
    assert 68 <= seen['peak_allocated_mb'] < 140  # and a workspace of cuBLAS
    assert seen['peak_reserved_mb'] >= seen['peak_allocated_mb']
    assert seen['peak_rss_mb'] is None
