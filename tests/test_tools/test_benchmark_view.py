"""What the benchmark says of numbers that should not be trusted."""

import io
import os
import signal
from copy import deepcopy

import pytest
from rich.console import Console

from mmeff.apis.benchmark_view import (
    interrupt_on_terminate,
    remarks,
    twin_remarks,
)
from mmeff.apis.live_line import live_line

LATENCY = {'median': 10.0, 'n': 600, 'spread_percent': 1.0, 'warmup_stable': True}
RESULT = {
    'config': 'net',
    'config_sha256': 'aa',
    'checkpoint': 'a.pth',
    'checkpoint_sha256': 'bb',
    'settings': {
        'regions': ['detect'],
        'rounds': 3,
        'min_runs': 200,
        'energy': False,
        'backend': 'mmdet',
        'precision': 'fp32',
    },
    'metrics': {
        'latency_detect_ms': LATENCY,
        'throttled': False,
        'throttle_reasons': [],
        'energy_j_per_img': None,
        'proposals_per_img': None,
        'reasons': {'energy_j_per_img': 'no counter'},
    },
}


def changed(**metrics) -> dict:
    result = deepcopy(RESULT)
    result['metrics'].update(metrics)
    return result


def test_quiet_measurement_has_no_remarks():
    assert remarks(RESULT) == []


@pytest.mark.parametrize(
    ('latency', 'words'),
    [
        ({'spread_percent': 3.1}, 'differs by 3.1 % between rounds'),
        ({'warmup_stable': False}, 'was not stable'),
        ({'n': 599}, 'rounds of detect ended early'),
    ],
)
def test_doubtful_latency_is_told(latency, words):
    (line,) = remarks(changed(latency_detect_ms={**LATENCY, **latency}))
    assert words in line
    assert line.startswith('warning: ')


def test_throttling_is_told_with_its_reasons():
    (line,) = remarks(changed(throttled=True, throttle_reasons=['SwPowerCap']))
    assert 'lowered its clock' in line
    assert 'SwPowerCap' in line


def test_energy_that_was_asked_for_and_is_missing_is_told():
    result = deepcopy(RESULT)
    result['settings']['energy'] = True
    assert remarks(result) == ['energy: n/a (no counter)']


@pytest.mark.parametrize(('median', 'noisy'), [(10.29, False), (10.31, True)])
def test_same_weights_that_differ_by_three_percent_tell_of_noise(median, noisy):
    other = changed(latency_detect_ms={**LATENCY, 'median': median})
    lines = twin_remarks([RESULT, other])
    assert len(lines) == noisy
    if noisy:
        assert 'the machine is noisy: detect of net' in lines[0]


def test_other_weights_are_no_twins():
    other = changed(latency_detect_ms={**LATENCY, 'median': 20.0})
    assert twin_remarks([RESULT, {**other, 'checkpoint_sha256': 'cc'}]) == []
    assert twin_remarks([RESULT, {**other, 'config_sha256': 'cc'}]) == []
    settings = {**RESULT['settings'], 'backend': 'torch'}
    assert twin_remarks([RESULT, {**other, 'settings': settings}]) == []


def test_line_is_drawn_in_terminals_only():
    outputs = []
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=60, highlight=False)
        with live_line(console) as tell:
            tell('net: detect: round 1 of 3')
        outputs.append(file.getvalue())
    assert 'round 1 of 3' in outputs[0]
    assert outputs[1] == ''


def test_sigterm_is_an_interrupt_inside_only():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupt_on_terminate():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
