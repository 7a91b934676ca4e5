"""The plan of the suite, its budget, and that it goes on after a failure."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mmeff.apis.bench_suite import (
    DETECTORS,
    FIRST_GUESS,
    Run,
    bench_suite,
    budget_of,
    plan,
)
from mmeff.config import load_config
from mmeff.errors import UserError
from mmeff.profiling.results import read_result

ROOT = Path(__file__).parents[2]
SMALL = str(ROOT / 'tests' / 'test_profiling' / 'small_retinanet.py')


def test_gpu_runs_every_detector_in_eight_setups():
    runs = plan('cuda')
    assert len(runs) == len(set(runs))
    setups = Counter((run.precision, run.batch, run.compile) for run in runs)
    assert len(setups) == 8
    (number,) = set(setups.values())
    configs = {run.config for run in runs}
    assert len(configs) == number > 20
    for name in (
        'dsod300_densenet67_voc',
        'refinedet320_vgg16_coco',
        'refinedet512_vovnet39_coco',
        'vovnet57_maskrcnn',
        'ssdlite320_mobilenetv2_coco',
        'ssd300_mobilenetv1_voc',
        'pelee304_voc',
    ):
        assert name in configs
        assert load_config(name).model


def test_each_pattern_of_detectors_finds_some():
    from fnmatch import fnmatch

    configs = {run.config for run in plan('cuda')}
    for like in DETECTORS:
        assert any(fnmatch(config, like) for config in configs), like


def test_eager_comes_first_and_energy_is_measured_once_a_detector():
    runs = plan('cuda:1')
    modes = [run.compile for run in runs]
    assert modes == sorted(modes)
    with_energy = [run for run in runs if run.energy]
    assert runs[: len(with_energy)] == with_energy
    assert {run.config for run in runs} == {run.config for run in with_energy}
    assert all(
        (r.precision, r.batch, r.compile) == ('fp32', 1, False) for r in with_energy
    )


def test_cpu_has_no_half_precision():
    assert {run.precision for run in plan('cpu')} == {'fp32'}
    assert {run.compile for run in plan('cpu', quick=True)} == {False}


def test_budget_of_all_runs_fits_into_the_time():
    runs = plan('cuda')
    budget = budget_of(runs, 20 * 60)
    turns = 2 * budget.rounds * budget.max_seconds + 2 * 0.5 * budget.max_seconds
    energy = sum(run.energy for run in runs) * 17
    assert len(runs) * turns + energy < 0.8 * 20 * 60
    assert budget.max_seconds > 0.1


def test_too_little_time_is_refused():
    with pytest.raises(UserError, match=r'1 minutes are too few for .* runs'):
        budget_of(plan('cuda'), 60)


def _run(config: str, **changes) -> Run:
    setup = {'precision': 'fp32', 'batch': 1, 'compile': False, 'energy': False}
    return Run(config, **{**setup, **changes})


def test_failures_and_want_of_time_stop_no_other_run(tmp_path, monkeypatch):
    # as if there were time for everything but a compiled run, even on a busy machine
    monkeypatch.setitem(FIRST_GUESS, True, 1e6)
    monkeypatch.setitem(FIRST_GUESS, False, 0)
    monkeypatch.setattr('mmeff.apis.bench_suite.REPORT_SECONDS', -1e5)
    monkeypatch.setattr('mmeff.apis.bench_suite.TIMED', 1e-4)
    runs = [
        _run('no-such-config'),
        _run(SMALL, precision='amp-fp16'),
        _run(SMALL, compile=True),
        _run(SMALL),
    ]
    told = []
    outcome = bench_suite(
        'cpu',
        minutes=1,
        out_dir=tmp_path,
        runs=runs,
        report=lambda number, total, run, text: told.append((number, total, text)),
    )
    (path,) = outcome.files
    assert read_result(path)['metrics']['fps'] > 0
    assert [run for run, _ in outcome.failures] == runs[:2]
    assert 'no such file' in outcome.failures[0][1]
    assert 'needs a CUDA device' in outcome.failures[1][1]
    assert outcome.skipped == [runs[2]]
    assert [(number, total) for number, total, _ in told] == [(1, 4), (2, 4), (4, 4)]
    assert told[0][2].startswith('failed, ')
    assert 'FPS' in told[2][2]


@pytest.mark.slow
def test_one_command_measures_and_reports_on_a_cpu(tmp_path):
    tool = ROOT / 'tools' / 'bench_suite.py'
    arguments = ['--device', 'cpu', '--quick', '--minutes', '4', '--out', 'suite']
    done = subprocess.run(
        [sys.executable, tool, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    results = [read_result(path) for path in (tmp_path / 'suite').glob('*.json')]
    names = {result['config'] for result in results}
    assert names == {'ssdlite320_mobilenetv2_coco', 'pelee304_voc'}
    assert (tmp_path / 'suite' / 'report' / 'report.html').is_file()
    assert '2 results in suite' in done.stdout
