"""The benchmark as users start it: one command, no data, no checkpoint."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from mmeff.cli import run
from mmeff.profiling.results import read_result

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'benchmark.py'
CONFIG = ROOT / 'tests' / 'test_profiling' / 'small_retinanet.py'
# A busy machine may end rounds early, at a second, but never before three runs.
QUICK = [
    '--rounds',
    '2',
    '--min-runs',
    '10',
    '--min-seconds',
    '0',
    '--max-seconds',
    '1',
    '--threads',
    '1',
]


@pytest.fixture
def benchmark():
    """`main` of the tool, in this process."""
    spec = spec_from_file_location('benchmark_tool', TOOL)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_one_command_measures_and_writes_a_result(tmp_path):
    command = [sys.executable, TOOL, CONFIG, '--device', 'cpu', *QUICK]
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path / 'results' / 'small_retinanet__cpu__fp32.json'
    assert done.stdout.splitlines()[-1] == str(path.relative_to(tmp_path))
    for word in (
        '64 x 90, padded to 64 x 96',
        'forward',
        'FPS',
        'random weights',
        'torch',
    ):
        assert word in done.stdout

    result = read_result(path)
    metrics = result['metrics']
    forward, detect = metrics['latency_forward_ms'], metrics['latency_detect_ms']
    assert 0 < forward['min'] < detect['min']  # detect does all of forward
    assert metrics['fps'] == pytest.approx(1000 / detect['mean'])
    rounds = result['samples']['latency_detect_ms']
    assert len(rounds) == 2
    assert all(3 <= len(samples) <= 10 for samples in rounds)
    assert detect['n'] == sum(map(len, rounds))
    assert metrics['flops_g'] == 2 * metrics['macs_g'] > 0
    assert metrics['params_m'] > metrics['params_trainable_m'] > 0  # one frozen stage
    assert metrics['boxes_per_img'] == 20
    assert result['config'] == 'small_retinanet'
    assert result['checkpoint'] is None
    assert result['settings']['image_shape'] == [64, 90]
    assert result['settings']['input_shape'] == [64, 96]
    assert result['environment']['torch_threads'] == 1


def test_counts_are_of_one_image_and_fps_of_all(benchmark, tmp_path, capsys):
    quick = [*QUICK, '--shape', '64', '64', '--out', str(tmp_path)]
    path = tmp_path / 'small_retinanet__cpu__fp32.json'
    results = []
    for batch in ('1', '3'):
        arguments = [str(CONFIG), *quick, '--device', 'cpu', '--batch', batch]
        assert run(benchmark, arguments) == 0
        results.append(read_result(path)['metrics'])
    single, triple = results
    assert triple['macs_g'] == pytest.approx(single['macs_g'])
    assert triple['fps'] == pytest.approx(3000 / triple['latency_detect_ms']['mean'])


def test_unsteady_and_cut_rounds_are_told(benchmark, tmp_path, capsys):
    arguments = (
        f'{CONFIG} --device cpu --shape 64 64 --out {tmp_path} --threads 1 --rounds 1'
    )
    limits = '--min-runs 100000 --min-seconds 0 --max-seconds 0.5'
    assert run(benchmark, f'{arguments} {limits}'.split()) == 0
    output = capsys.readouterr().out
    assert 'rounds of detect ended early' in output
    assert 'weights are random' in output


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('--shape 16 64', 'shape 16 64: expected height and width'),
        ('--image none.jpg', 'none.jpg: No such file'),
        ('--checkpoint none.pth', 'none.pth'),
        ('--batch 0', 'batch=0'),
        ('--threads 0', 'threads=0'),
        ('--rounds 0', 'rounds=0'),
        ('--precision tf32', 'tf32 needs a CUDA device'),
    ],
)
def test_mistakes_are_told_in_one_message(
    benchmark, monkeypatch, tmp_path, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert run(benchmark, [str(CONFIG), '--device', 'cpu', *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
    assert not list(tmp_path.iterdir())


def test_shape_the_network_cannot_take_is_told(benchmark, tmp_path, capsys):
    # The last convolution of SSD's extra layers has no padding and finds one pixel.
    extra_layers = """dict(_delete_=True, type='SSDNeck', in_channels=[512],
        out_channels=[512, 64, 64], level_strides=[2, 1], level_paddings=[1, 0])"""
    config = tmp_path / 'ssd.py'
    config.write_text(
        f'_base_ = {str(CONFIG)!r}\n'
        f'model = dict(backbone=dict(out_indices=(3,)), neck={extra_layers})\n'
    )
    arguments = f'{config} --device cpu --shape 64 64 --out {tmp_path}'
    assert run(benchmark, arguments.split()) == 2
    assert 'shape 64 64: the detector cannot run on it' in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['fp32', 'tf32', 'amp-fp16', 'amp-bf16'])
def test_gpu_is_measured_at_every_precision(benchmark, tmp_path, precision):
    arguments = [str(CONFIG), *QUICK, '--precision', precision, '--out', str(tmp_path)]
    before = torch.backends.cudnn.allow_tf32
    assert run(benchmark, arguments) == 0
    (path,) = tmp_path.iterdir()
    result = read_result(path)
    assert result['environment']['gpu'] == torch.cuda.get_device_name()
    assert result['environment']['cudnn_tf32'] is (precision == 'tf32')
    assert torch.backends.cudnn.allow_tf32 is before
    detect = result['metrics']['latency_detect_ms']
    assert result['metrics']['latency_forward_ms']['median'] < detect['median']
