"""The choice for a target, with numbers that can be checked by hand."""

import pytest

from mmeff.errors import UserError
from mmeff.reporting.choose import choose, objective
from mmeff.reporting.rows import make_report

from result_files import benchmark, evaluation, write

# config: latency (ms), box AP (0 to 1)
MODELS = {'small': (8, 0.30), 'middle': (10, 0.35), 'large': (20, 0.38)}


@pytest.fixture
def models(tmp_path):
    for name, (latency, accuracy) in MODELS.items():
        write(tmp_path / name, b=benchmark(name, weights=name, latency_ms=latency))
        write(tmp_path / name, m=evaluation(name, name, bbox_mAP=accuracy))
    return make_report([tmp_path])


def test_objective_is_mnasnet_s():
    # 2 ** -0.07 = 0.952638: twice the latency costs 4.7 % of the accuracy
    assert objective(40, 20, 10) == pytest.approx(40 * 0.952638, rel=1e-6)
    assert objective(40, 5, 10) == pytest.approx(40 / 0.952638, rel=1e-6)
    assert objective(40, 10, 10) == 40


def test_both_choices_for_a_latency(models):
    (choice,) = choose(models, target_latency_ms=10)
    # 38 x 2^-0.07 = 36.20; 35 x 1 = 35.00; 30 x 0.8^-0.07 = 30.47
    scores = [(c.row.name, round(c.objective, 2)) for c in choice.by_objective]
    assert scores == [('large', 36.2), ('middle', 35.0), ('small', 30.47)]
    assert [c.row.name for c in choice.by_accuracy] == ['middle', 'small']
    first, second = choice.sentences()
    assert 'large, because box AP 38.0 x (20.00 ms / 10.00 ms)^-0.07 = 36.20' in first
    assert 'beyond the target' in first
    assert 'then middle 35.00, small 30.47' in first
    assert 'middle, because box AP 35.0 is the highest of 2 models' in second
    assert 'small (30.0, 8.00 ms)' in second


def test_fps_is_a_latency(models):
    (choice,) = choose(models, target_fps=125)
    assert choice.target_ms == 8
    assert [c.row.name for c in choice.by_accuracy] == ['small']


def test_fps_of_a_batch_counts_all_images(tmp_path):
    timed = benchmark(weights='a', batch=4, latency_ms=30)
    write(tmp_path, b=timed, m=evaluation(weights='a', bbox_mAP=0.3))
    (choice,) = choose(make_report([tmp_path]), target_fps=100)
    assert choice.target_ms == 40


def test_target_that_no_model_meets_is_said(models):
    sentence = choose(models, target_latency_ms=5)[0].sentences()[1]
    assert 'none, because no model takes 5.00 ms or less' in sentence
    assert 'the fastest is small (30.0, 8.00 ms)' in sentence


def test_of_equal_accuracy_the_faster_one_is_taken(tmp_path):
    for name, latency in (('slow', 9), ('fast', 8)):
        write(tmp_path / name, b=benchmark(name, weights=name, latency_ms=latency))
        write(tmp_path / name, m=evaluation(name, name, bbox_mAP=0.3))
    (choice,) = choose(make_report([tmp_path]), target_latency_ms=10)
    assert choice.by_accuracy[0].row.name == 'fast'
    assert choice.by_objective[0].row.name == 'fast'


def test_each_setup_chooses_for_itself(tmp_path):
    write(
        tmp_path,
        a=benchmark(weights='a', latency_ms=5),
        b=benchmark(weights='a', device='cpu', latency_ms=80),
        m=evaluation(weights='a', bbox_mAP=0.3),
    )
    cpu, gpu = choose(make_report([tmp_path]), target_latency_ms=10)
    assert cpu.by_accuracy == ()
    assert len(gpu.by_accuracy) == 1


def test_without_accuracy_there_is_no_choice(tmp_path):
    write(tmp_path, b=benchmark())
    assert choose(make_report([tmp_path]), target_latency_ms=10) == []


@pytest.mark.parametrize(
    'target',
    [
        {},
        {'target_latency_ms': 0},
        {'target_fps': -3},
        {'target_fps': float('nan')},
        {'target_latency_ms': 1, 'target_fps': 1},
    ],
)
def test_senseless_targets_are_told(models, target):
    with pytest.raises(UserError, match='a positive number'):
        choose(models, **target)
