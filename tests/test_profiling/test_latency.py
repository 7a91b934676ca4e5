"""Samples, their statistics, the order of turns and when turns end."""

from time import perf_counter, sleep

import numpy as np
import pytest
import torch
from torch import nn

from mmeff.errors import UserError
from mmeff.profiling.latency import Budget, Latency, is_stable, measure

SHORT = Budget(rounds=2, min_runs=10, min_seconds=0, max_seconds=0.5)


class Sleep(nn.Module):
    def forward(self, x):
        sleep(0.1)
        return x


def test_a_known_sleep_is_measured_within_two_percent_each_time():
    module = Sleep()
    budget = Budget(rounds=2, min_runs=3, min_seconds=0, max_seconds=0.8)
    # the fastest run: a busy machine wakes a sleeper late
    twice = measure({name: lambda: module(1) for name in 'ab'}, budget=budget)
    for latency in twice.values():
        assert 100 <= latency.min < 102
        assert latency.min <= latency.median <= latency.p90 <= latency.p99
        assert latency.p99 <= latency.max


def test_every_sample_of_every_round_is_kept():
    latency = measure({'nothing': lambda: None}, budget=SHORT)['nothing']
    assert [len(samples) for samples in latency.rounds_ms] == [10, 10]
    assert latency.n == 20


def test_outliers_are_not_clipped():
    calls = []

    def run():
        calls.append('run')
        sleep(0.05 if calls.count('run') % 10 == 0 else 0.001)

    latency = measure({'a': run}, budget=SHORT)['a']
    assert sum(sample >= 50 for sample in latency.samples_ms) == 2  # one in ten of 20


def test_statistics_follow_their_definitions():
    latency = Latency(((1.0, 2.0, 3.0), (4.0, 6.0, 8.0)), 5, True)
    assert latency.n == 6
    assert latency.mean == 4
    assert latency.median == 3.5
    assert latency.p90 == pytest.approx(np.percentile([1, 2, 3, 4, 6, 8], 90))
    assert latency.std == pytest.approx(np.sqrt((9 + 4 + 1 + 0 + 4 + 16) / 6))
    assert latency.round_medians == [2, 6]
    assert latency.spread_percent == 100  # (6 - 2) / 4
    assert latency.summary()['warmup_runs'] == 5


def test_one_round_has_no_spread():
    assert Latency(((1.0, 2.0),), 0, True).spread_percent is None


def test_callables_take_turns_in_every_round():
    calls = []
    budget = Budget(rounds=3, min_runs=2, min_seconds=0, max_seconds=0.02)
    latencies = measure(
        {'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, budget=budget
    )
    measured = calls[sum(latency.warmup_runs for latency in latencies.values()) :]
    assert ''.join(measured) == 'aabb' * 3


def test_progress_hears_of_every_run():
    heard = []
    latency = measure(
        {'a': lambda: None},
        budget=Budget(rounds=2, min_runs=3, min_seconds=0, max_seconds=0.1),
        progress=lambda name, number, samples: heard.append(
            (name, number, len(samples))
        ),
    )['a']
    assert heard[: latency.warmup_runs] == [
        ('a', 0, run + 1) for run in range(latency.warmup_runs)
    ]
    rounds = [('a', number, run) for number in (1, 2) for run in (1, 2, 3)]
    assert heard[latency.warmup_runs :] == rounds


def test_stable_means_medians_of_twenty_within_two_percent():
    assert is_stable([1.0] * 20 + [1.019] * 20)
    assert not is_stable([1.0] * 20 + [1.021] * 20)
    assert not is_stable([1.0] * 39)
    assert is_stable([9.0] * 100 + [1.0] * 40)  # only the last forty count


def test_warmup_ends_by_time_by_count_and_by_stability():
    budget = Budget(min_runs=200, min_seconds=10, max_seconds=60)
    steady, drifting = [1.0] * 60, list(np.geomspace(1, 9, 60))
    assert budget.is_warm(steady, 3.1)
    assert not budget.is_warm(steady, 2.9)
    assert not budget.is_warm(steady[:49], 3.1)
    assert not budget.is_warm(drifting, 29)
    assert budget.is_warm(drifting, 30)


def test_unstable_warmup_is_cut_off_and_told():
    durations = iter(np.linspace(0.001, 0.1, 1000))
    budget = Budget(rounds=1, min_runs=4, min_seconds=0, max_seconds=0.2)
    latency = measure({'a': lambda: sleep(next(durations))}, budget=budget)['a']
    assert not latency.warmup_stable
    assert latency.n == 4


def test_slow_callable_is_cut_off_after_three_runs():
    begin = perf_counter()
    budget = Budget(rounds=1, min_runs=100, min_seconds=0, max_seconds=0.02)
    latency = measure({'a': lambda: sleep(0.03)}, budget=budget)['a']
    assert latency.n == 3
    assert perf_counter() - begin < 1


@pytest.mark.parametrize(
    'wrong',
    [
        {'rounds': 0},
        {'min_runs': 0},
        {'min_seconds': -1},
        {'min_seconds': 5, 'max_seconds': 4},
        {'min_seconds': float('nan')},
    ],
)
def test_budget_out_of_range_is_refused(wrong):
    with pytest.raises(UserError, match='expected'):
        Budget(**wrong)


@pytest.mark.gpu
def test_cuda_kernels_are_waited_for():
    matrix = torch.randn(8192, 8192, device='cuda')
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(3):
        matrix @ matrix
    start.record()
    matrix @ matrix
    end.record()
    torch.cuda.synchronize()
    latency = measure({'matmul': lambda: matrix @ matrix}, 'cuda', SHORT)['matmul']
    assert latency.median > 0.8 * start.elapsed_time(end)
