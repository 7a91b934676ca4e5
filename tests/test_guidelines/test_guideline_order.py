"""How the measured order is compared with the paper's, and what one experiment gives."""

from dataclasses import replace

import pytest
import torch

from mmeff.errors import UserError
from mmeff.guidelines.experiment import compare_order, measure_guideline
from mmeff.guidelines.tables import BOTTLENECK, G2, G3
from mmeff.profiling.latency import Budget

TINY = Budget(rounds=3, min_runs=1, min_seconds=0, max_seconds=0)
PAPER = {'a': 30, 'b': 20, 'c': 10}


def test_same_order_agrees_in_all_pairs():
    measured = {'a': [3, 4, 5], 'b': [2, 3, 4], 'c': [1, 2, 3]}
    order = compare_order(measured, PAPER)
    assert order == {
        'agree': [['a', 'b'], ['a', 'c'], ['b', 'c']],
        'oppose': [],
        'close': [],
    }


def test_pairs_in_the_other_order_are_named_with_the_papers_faster_one_first():
    order = compare_order({'c': [3, 3], 'a': [2, 2], 'b': [1, 1]}, PAPER)
    assert order['oppose'] == [['a', 'c'], ['b', 'c']]
    assert order['agree'] == [['a', 'b']]


def test_rounds_that_contradict_each_other_tell_no_order():
    order = compare_order({'a': [2, 1, 2, 1], 'b': [1, 2, 1, 2]}, PAPER)
    assert order['close'] == [['a', 'b']]
    assert order['agree'] == order['oppose'] == []


def test_a_machine_that_becomes_slower_changes_no_order():
    order = compare_order({'a': [9.0, 0.9, 0.09], 'b': [8.0, 0.8, 0.08]}, PAPER)
    assert order['agree'] == [['a', 'b']]


def test_pairs_that_the_paper_has_equal_are_left_out():
    order = compare_order({'a': [2], 'b': [1]}, {'a': 5.0, 'b': 5.0})
    assert order == {'agree': [], 'oppose': [], 'close': []}


def measure(guideline, columns='cpu', **settings):
    device = torch.device('cpu')
    return measure_guideline(
        guideline, 1, columns, device=device, budget=TINY, **settings
    )


def test_rows_stand_beside_the_paper():
    part = measure(G2)
    first, *_, last = part['rows']
    assert first['relative_speed'] == first['paper_relative_speed'] == 1
    assert last['channels'] == (184,)
    assert last['paper_channels'] == (180,)
    assert last['paper_speed'] == 27.8
    assert last['paper_relative_speed'] == pytest.approx(27.8 / 40.0)
    assert last['macs_m'] == pytest.approx(10 * 56 * 56 * 184**2 / 8 / 1e6)
    medians = [row['latency_ms']['round_medians'] for row in (first, last)]
    ratios = sorted(a / b for a, b in zip(*medians, strict=True))
    assert last['relative_speed'] == pytest.approx(ratios[1])
    assert part['efficiency_order'] is None
    assert sum(map(len, part['speed_order'].values())) == 6


def test_batch_counts_in_images_and_not_in_costs():
    single, batch = measure(G3)['rows'][0], measure(G3, batch=2)['rows'][0]
    assert batch['macs_m'] == single['macs_m']
    assert batch['memory_access_m'] == single['memory_access_m']
    median = batch['latency_ms']['median']
    assert batch['images_per_s'] == pytest.approx(2000 / median)
    gflops = 2 * 2 * batch['macs_m'] / 1e3
    assert batch['gflops_per_s'] == pytest.approx(1000 * gflops / median)


def test_bottleneck_is_compared_in_speed_and_in_efficiency():
    part = measure(replace(BOTTLENECK, size=64), 'gpu')
    plain, narrow = part['rows']
    assert narrow['macs_m'] < plain['macs_m']
    assert (plain['paper_gmacs'], narrow['paper_gmacs']) == (5.6, 4.6)
    assert narrow['paper_relative_speed'] == pytest.approx(14 / 18)
    pair = ['VoVNet-27-slim', 'with 1x1 bottlenecks']
    for order in (part['speed_order'], part['efficiency_order']):
        assert [pair] in order.values()


def test_half_precision_is_that_of_weights_and_maps():
    row = measure(G3, precision='amp-bf16')['rows'][0]
    assert row['elementwise_access_m'] == 0  # nothing is converted in a run


def test_too_large_a_batch_is_told():
    with pytest.raises(UserError, match='G3 at width x1: out of memory'):
        measure(G3, batch=10**9)
