"""Bounds by made-up peaks, times of operators whose length is known, real peaks."""

import json
from dataclasses import replace
from time import perf_counter, sleep

import pytest
import torch
from torch import nn

from mmeff.errors import UserError
from mmeff.profiling import probes
from mmeff.profiling.counts import count_operations
from mmeff.profiling.latency import Budget
from mmeff.profiling.roofline import (
    LayerTimes,
    Peaks,
    layer_rows,
    layer_times,
    measure_peaks,
    roofline,
)

SHORT = Budget(rounds=2, min_runs=3, min_seconds=0.05, max_seconds=0.3)
# 1000 FLOP and 100 bytes in a microsecond: ten FLOP per byte
PEAKS = Peaks(1, 0.1, 'made up', 'fp32')
X = torch.ones(2, 16, 10, 10)
PIXELS = 2 * 10 * 10


@torch.library.custom_op('mmeff_test::wait', mutates_args=())
def wait(x: torch.Tensor, seconds: float) -> torch.Tensor:
    sleep(seconds)
    return x.clone()


class Wait(nn.Module):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return wait(x, self.seconds)


@pytest.fixture(scope='module')
def operations():
    """A convolution that arithmetic holds back, and a depthwise one with ReLU."""
    net = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.ReLU(),
    )
    return count_operations(lambda: net(X), net)


def test_layer_is_bound_by_the_slower_of_arithmetic_and_memory(operations):
    dense, depthwise = layer_rows(operations, peaks=PEAKS)
    flops = 2 * (16 * PIXELS) * (16 * 3 * 3)  # 921600
    elements = 2 * 16 * PIXELS + 3 * 3 * 16 * 16  # 8704, four bytes each
    assert flops / 1000 > 4 * elements / 100
    assert dense['bound'] == 'compute'
    assert dense['bound_ms'] == pytest.approx(flops / 1000 / 1000)
    flops = 2 * (16 * PIXELS) * (3 * 3)  # 57600
    elements = 2 * 16 * PIXELS + 3 * 3 * 16  # 6544
    assert flops / 1000 < 4 * elements / 100
    assert depthwise['bound'] == 'memory'
    assert depthwise['bound_ms'] == pytest.approx(4 * elements / 100 / 1000)


def test_half_precision_moves_half_the_bytes(operations):
    half = replace(PEAKS, precision='amp-bf16')
    dense, depthwise = layer_rows(operations, peaks=PEAKS)
    half_dense, half_depthwise = layer_rows(operations, peaks=half)
    assert half_depthwise['bound_ms'] == pytest.approx(depthwise['bound_ms'] / 2)
    assert half_dense == dense  # arithmetic takes as long


def test_whole_network_is_the_sum_of_its_bounds(operations):
    found = roofline(operations, PEAKS, latency_ms=2.0)
    bounds = [row['bound_ms'] for row in layer_rows(operations, peaks=PEAKS)]
    assert found['bound_ms'] == pytest.approx(sum(bounds))
    assert found['share'] == pytest.approx(sum(bounds) / 2.0)
    assert found['ridge_flop_per_byte'] == 10
    # the ReLU reads and writes its map
    assert found['elementwise_bound_ms'] == pytest.approx(2 * 16 * PIXELS * 4 / 1e5)
    assert (found['precision'], found['method']) == ('fp32', 'made up')
    assert roofline(operations, PEAKS, latency_ms=None)['share'] is None


def test_share_is_bound_over_time_and_not_clipped(operations):
    dense, depthwise = operations.layers
    times = LayerTimes({dense: 2.0, depthwise: 0.01}, {})
    rows = layer_rows(operations, peaks=PEAKS, times=times)
    assert rows[0]['time_ms'] == 2.0
    assert rows[0]['share'] == pytest.approx(rows[0]['bound_ms'] / 2)
    assert rows[1]['share'] == pytest.approx(rows[1]['bound_ms'] / 0.01)
    assert rows[1]['share'] > 1


def test_rows_are_those_of_one_image(operations):
    dense = operations.layers[0]
    times = LayerTimes({dense: 3.0}, {})
    whole, _ = layer_rows(operations, 1, PEAKS, times)
    one, _ = layer_rows(operations, 2, PEAKS, times)
    divided = ('macs_m', 'activations_m', 'memory_access_m', 'time_ms', 'bound_ms')
    for key in divided:
        assert one.pop(key) == pytest.approx(whole.pop(key) / 2)
    assert one == whole
    assert one['output_shape'] == [2, 16, 10, 10]


def test_what_was_not_measured_is_none(operations):
    for row in layer_rows(operations):
        measured = {row[key] for key in ('time_ms', 'bound', 'bound_ms', 'share')}
        assert measured == {None}
    timed, untimed = layer_rows(
        operations, peaks=PEAKS, times=LayerTimes({operations.layers[0]: 1.0}, {})
    )
    assert timed['share'] is not None
    assert (untimed['time_ms'], untimed['share']) == (None, None)
    assert untimed['bound'] == 'memory'


def test_rows_can_be_written_as_json(operations):
    times = LayerTimes(dict.fromkeys(operations.layers, 1.0), {})
    for rows in (layer_rows(operations), layer_rows(operations, 1, PEAKS, times)):
        assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    found = roofline(operations, PEAKS, 1.0)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_operators_are_timed_in_their_module():
    net = nn.Sequential(Wait(0.01), nn.Sequential(nn.ReLU(), Wait(0.03)), nn.ReLU())
    found = layer_times(lambda: net(X), net, 'cpu', runs=3)
    assert found.layers == {}
    assert found.modules['0'] >= 10
    assert found.modules['1.1'] >= 30 > found.modules['1.0'] > 0
    assert set(found.modules) == {'0', '1.0', '1.1', '2'}


def test_every_counted_layer_has_a_time():
    conv = nn.Conv2d(16, 16, 3, padding=1).eval()

    def heads():
        for side in (2, 10, 10, 96):
            conv(torch.ones(1, 16, side, side))

    counted = count_operations(heads, conv)
    found = layer_times(heads, conv, 'cpu', runs=3)
    assert set(found.layers) == set(counted.layers)
    small, twice, large = (found.layers[layer] for layer in counted.layers)
    assert [layer.calls for layer in counted.layers] == [1, 2, 1]
    assert 0 < small < large
    assert twice > 0
    # as the model itself is the layer, the inputs made outside of it have its name
    assert found.modules[''] > small + twice + large


def test_median_of_the_runs_counts_and_the_first_is_left_out():
    seconds = iter([0.5, 0.02, 0.02, 0.5])
    net = nn.Sequential(nn.Identity())
    told = []
    found = layer_times(
        lambda: wait(X, next(seconds)),
        net,
        'cpu',
        runs=3,
        progress=lambda *done: told.append(done),
    )
    assert 20 <= found.modules[''] < 150
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.fixture
def small_copy(monkeypatch):
    monkeypatch.setattr(probes, 'MIN_COPY', 2**24)
    monkeypatch.setattr(probes, 'MAX_COPY', 2**24)
    monkeypatch.setattr(probes, 'LARGEST', 512)


def test_peaks_of_this_machine_are_measured_twice_alike(small_copy):
    first, second = (measure_peaks('cpu', 'fp32', budget=SHORT) for _ in range(2))
    assert 1 / 4 < first.peak_gflops_per_s / second.peak_gflops_per_s < 4
    assert first.peak_gflops_per_s > 0.5
    assert first.bandwidth_gb_per_s > 0.05
    assert first.precision == 'fp32'
    assert 'products of square matrices with 256' in first.method
    assert 'float32' in first.method
    assert 'copy of 16 MiB' in first.method


def test_peak_is_not_below_another_product(small_copy):
    peak = measure_peaks('cpu', 'fp32', budget=SHORT).peak_gflops_per_s
    run = probes.product(64, torch.device('cpu'), torch.float32)
    start = perf_counter()
    run()
    assert peak > 0.5 * 2 * 64**3 / (perf_counter() - start) / 1e9


def test_progress_hears_of_products_and_copy(small_copy):
    heard = set()
    measure_peaks('cpu', 'fp32', lambda name, *_: heard.add(name), SHORT)
    assert {'product of 256', 'copy'} <= heard


@pytest.mark.parametrize('precision', ['tf32', 'amp-fp16', 'int8'])
def test_precision_that_the_device_lacks_is_refused(precision):
    with pytest.raises(UserError, match=f'precision .?{precision}'):
        measure_peaks('cpu', precision)


def test_products_compute_what_they_say():
    run = probes.product(32, torch.device('cpu'), torch.bfloat16)
    product = run()
    assert product.shape == (32, 32)
    assert product.dtype == torch.bfloat16
    assert product.std() > 1


def test_copy_is_far_larger_than_the_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(probes, 'CPUS', tmp_path)
    cpu = torch.device('cpu')
    assert probes.copy_bytes(cpu) == probes.MIN_COPY  # no caches are told
    for number, cpus in enumerate(('0-1', '0-1', '2-3', '2-3')):
        for level, size in ((2, '1024K'), (3, '65536K')):
            cache = tmp_path / f'cpu{number}' / 'cache' / f'index{level}'
            cache.mkdir(parents=True)
            shared = cpus if level == 3 else str(number)
            for name, text in zip(
                ('level', 'size', 'shared_cpu_list'), (level, size, shared), strict=True
            ):
                (cache / name).write_text(f'{text}\n')
    # two caches of the third level with 64 MiB each
    assert probes.copy_bytes(cpu) == 4 * 2 * 64 * 2**20


@pytest.mark.gpu
def test_peaks_and_times_of_a_gpu():
    half, full = (measure_peaks('cuda', name) for name in ('amp-fp16', 'fp32'))
    assert half.peak_gflops_per_s > full.peak_gflops_per_s > 1000
    assert full.bandwidth_gb_per_s > 50
    net, x = nn.Conv2d(64, 64, 3).cuda(), torch.ones(8, 64, 128, 128, device='cuda')
    counted = count_operations(lambda: net(x), net)
    times = layer_times(lambda: net(x), net, 'cuda')
    (row,) = layer_rows(counted, 8, full, times)
    assert 0 < row['share'] < 4
