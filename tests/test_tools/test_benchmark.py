"""The benchmark as users start it: one command, no data, no checkpoint."""

import os
import signal
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import sleep

import pytest
import torch

from mmeff.apis.benchmark_case import Case
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
    path = tmp_path / 'results' / 'small_retinanet__cpu__fp32__64x90_b1__t1.json'
    assert done.stdout.splitlines()[-1] == str(path.relative_to(tmp_path))
    for word in (
        '64 x 90, padded to 64 x 96',
        'forward',
        'FPS',
        'random weights',
        'torch',
    ):
        assert word in done.stdout
    assert list(path.parent.iterdir()) == [path]

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
    for key in ('energy_j_per_img', 'latency_pipeline_ms', 'throttled', 'roofline'):
        assert metrics.get(key) is None
        assert metrics['reasons'][key]
    assert metrics['peak_rss_mb'] > metrics['weights_mb'] > 1
    assert sum(part['macs_g'] for part in result['parts']) == pytest.approx(
        metrics['macs_g']
    )
    assert len(result['layers']) > 20
    assert result['config'] == 'small_retinanet'
    assert result['checkpoint'] is None
    assert result['settings']['image_shape'] == [64, 90]
    assert result['settings']['input_shape'] == [64, 96]
    assert result['environment']['torch_threads'] == 1


def _results(folder: Path) -> list[dict]:
    return [read_result(path) for path in sorted(folder.glob('*.json'))]


def test_counts_are_of_one_image_and_fps_of_all(benchmark, tmp_path, capsys):
    quick = [*QUICK, '--shape', '64', '64', '--out', str(tmp_path)]
    for batch in ('1', '3'):
        arguments = [str(CONFIG), *quick, '--device', 'cpu', '--batch', batch]
        assert run(benchmark, arguments) == 0
    single, triple = (result['metrics'] for result in _results(tmp_path))
    assert triple['macs_g'] == pytest.approx(single['macs_g'])
    assert triple['activations_m'] == pytest.approx(single['activations_m'])
    assert triple['fps'] == pytest.approx(3000 / triple['latency_detect_ms']['mean'])
    flops = triple['flops_g'] * 3
    forward_s = triple['latency_forward_ms']['mean'] / 1000
    assert triple['gflops_per_s'] == pytest.approx(flops / forward_s)


def test_options_are_in_the_file_and_in_its_name(benchmark, tmp_path, capsys):
    options = ['--fuse-conv-bn', '--channels-last', '--layers', '--energy']
    regions = ['--regions', 'pipeline', 'forward']
    quick = [*QUICK, '--shape', '64', '64', '--out', str(tmp_path)]
    arguments = [str(CONFIG), '--device', 'cpu', *quick, *options, *regions]
    assert run(benchmark, arguments) == 0
    (path,) = tmp_path.iterdir()
    assert path.name == (
        'small_retinanet__cpu__fp32__64x64_b1__channels-last__fused__t1.json'
    )
    result = read_result(path)
    metrics, settings = result['metrics'], result['settings']
    assert settings['regions'] == ['forward', 'pipeline']
    assert settings['image'] == 'synthetic JPEG'
    assert metrics['latency_pipeline_ms']['mean'] > metrics['latency_forward_ms']['min']
    assert metrics['fps'] is metrics['latency_detect_ms'] is None
    assert metrics['reasons']['fps'] == 'detect was not timed (--regions)'
    assert not any('batch_norm' in name for name in metrics['uncounted_ops'])
    assert result['roofline']['peak_gflops_per_s'] > 0
    assert all(layer['time_ms'] > 0 for layer in result['layers'])
    output = capsys.readouterr().out
    if metrics['energy_j_per_img'] is None:
        assert 'energy: n/a (' in output


def test_a_backend_may_have_a_precision_of_its_own(benchmark, tmp_path):
    arguments = [str(CONFIG), '--device', 'cpu', *QUICK, '--out', str(tmp_path)]
    arguments += ['--regions', 'forward', 'api', '--layers']
    backends = ['--backend', 'mmdet', 'torch', 'torch:bf16']
    assert run(benchmark, [*arguments, *backends]) == 0
    results = {
        (result['settings']['backend'], result['settings']['precision']): result
        for result in _results(tmp_path)
    }
    assert set(results) == {('mmdet', 'fp32'), ('torch', 'fp32'), ('torch', 'bf16')}
    peaks = {
        key: result['roofline']['peak_gflops_per_s'] for key, result in results.items()
    }
    assert peaks['mmdet', 'fp32'] == peaks['torch', 'fp32'] != peaks['torch', 'bf16']
    assert all(result['metrics']['speedup_api'] > 0 for result in results.values())


@pytest.mark.parametrize('options', [['--batch', '2'], ['--shape', '64', '64']])
def test_one_call_takes_one_image_as_it_is(options, benchmark, tmp_path, capsys):
    arguments = [str(CONFIG), '--regions', 'api', *options, '--out', str(tmp_path)]
    assert run(benchmark, arguments) == 2
    assert 'leave out --batch and --shape' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_backends_take_turns_with_mmdet_and_are_compared(benchmark, tmp_path, capsys):
    arguments = [str(CONFIG), '--device', 'cpu', *QUICK, '--out', str(tmp_path)]
    arguments += ['--regions', 'forward', 'detect', 'pipeline', 'api', '--layers']
    assert run(benchmark, [*arguments, '--backend', 'mmdet', 'torch']) == 0
    mmdet, torch_ = _results(tmp_path)
    stem = 'small_retinanet__cpu__fp32__64x90_b1__t1'
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f'{stem}.json', f'{stem}__torch.json']
    assert torch_['settings']['backend'] == 'torch'
    for key in ('params_m', 'macs_g', 'macs_detect_g', 'uncounted_ops'):
        assert torch_['metrics'][key] == mmdet['metrics'][key]
    assert torch_['metrics']['boxes_per_img'] == 20
    for region in ('forward', 'detect', 'pipeline', 'api'):
        key = f'latency_{region}_ms'
        medians = [result['metrics'][key]['median'] for result in (mmdet, torch_)]
        ratio = torch_['metrics'][f'speedup_{region}']
        assert ratio == pytest.approx(medians[0] / medians[1])
        assert mmdet['metrics'][f'speedup_{region}'] == 1
    assert torch_['metrics']['weights_mb'] is None
    assert 'form of its own' in torch_['metrics']['reasons']['weights_mb']
    assert torch_['roofline']['share'] > 0
    assert all(layer['time_ms'] is None for layer in torch_['layers'])
    assert all(layer['time_ms'] > 0 for layer in mmdet['layers'])
    assert [part['macs_g'] for part in torch_['parts']] == [
        part['macs_g'] for part in mmdet['parts']
    ]
    output = capsys.readouterr().out
    assert 'x mmdet' in output
    assert 'not measured' not in output
    assert f'{stem}__torch.json' in output


def test_a_backend_alone_has_no_ratio_and_half_precision_its_own_name(
    benchmark, tmp_path, capsys
):
    arguments = [str(CONFIG), '--device', 'cpu', *QUICK, '--shape', '64', '64']
    arguments += ['--backend', 'torch', '--precision', 'amp-bf16', '--out', tmp_path]
    assert run(benchmark, list(map(str, arguments))) == 0
    (path,) = tmp_path.iterdir()
    assert path.name == 'small_retinanet__cpu__bf16__64x64_b1__t1__torch.json'
    metrics = read_result(path)['metrics']
    assert metrics['speedup_detect'] is None
    assert 'in turns with mmdet' in metrics['reasons']['speedup_detect']
    assert metrics['peak_rss_mb'] > 0
    assert ', bf16, torch, ' in capsys.readouterr().out


def test_backends_that_cannot_be_used_are_left_out_of_all(
    benchmark, tmp_path, capsys, monkeypatch
):
    for name in ('compile', 'onnxruntime', 'openvino'):
        module = f'mmeff.deploy.backends.{name}_backend.missing'
        monkeypatch.setattr(module, lambda settings: 'not here')
    arguments = [str(CONFIG), '--device', 'cpu', *QUICK, '--shape', '64', '64']
    arguments += ['--backend', 'all', '--regions', 'forward', '--out', str(tmp_path)]
    assert run(benchmark, arguments) == 0
    mmdet, torch_ = _results(tmp_path)
    refused = torch_['settings']['backends_refused']
    assert refused == mmdet['settings']['backends_refused']
    assert list(refused) == ['compile', 'onnxruntime', 'openvino', 'tensorrt']
    assert 'not measured with openvino: backend openvino: not here' in (
        capsys.readouterr().out
    )


def test_several_detectors_take_turns_and_twins_are_compared(
    benchmark, tmp_path, capsys
):
    arguments = [str(CONFIG), str(CONFIG), '--device', 'cpu', *QUICK]
    arguments += ['--shape', '64', '64', '--regions', 'forward', '--out', str(tmp_path)]
    assert run(benchmark, arguments) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    stem = 'small_retinanet__cpu__fp32__64x64_b1__t1'
    assert names == [f'{stem}.json', f'{stem}__2.json']
    medians = []
    for result in _results(tmp_path):
        metrics = result['metrics']
        medians.append(metrics['latency_forward_ms']['median'])
        assert metrics['peak_rss_mb'] is None
        assert 'alone' in metrics['reasons']['peak_rss_mb']
    differ = max(medians) / min(medians) > 1.03
    assert ('the machine is noisy' in capsys.readouterr().out) == differ


def test_one_broken_config_of_several_is_told_before_anything_is_measured(
    benchmark, tmp_path, capsys
):
    broken = tmp_path / 'broken.py'
    broken.write_text(
        f"_base_ = {str(CONFIG)!r}\nmodel = dict(type='NoSuchDetector')\n"
    )
    out = tmp_path / 'out'
    arguments = [str(CONFIG), str(broken), 'nowhere.py', '--out', str(out)]
    assert run(benchmark, [*arguments, '--device', 'cpu', *QUICK]) == 2
    error = capsys.readouterr().err
    assert '2 of 3 detectors cannot be measured' in error
    assert 'NoSuchDetector' in error
    assert 'nowhere.py: config nowhere.py: no such file' in error
    assert not out.exists()


def test_terminated_benchmark_leaves_whole_files_only(tmp_path):
    arguments = ['--device', 'cpu', '--threads', '1', '--shape', '64', '64']
    command = [sys.executable, TOOL, CONFIG, *arguments, '--out', tmp_path / 'out']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (tmp_path / 'out').exists():  # made when measuring begins
        assert process.poll() is None, process.stderr.read()
        sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b'0 results are written' in output
    assert b'interrupted' in error
    assert list((tmp_path / 'out').iterdir()) == []


def test_finished_detectors_are_written_when_the_rest_is_interrupted(
    benchmark, tmp_path, capsys, monkeypatch
):
    measured = []

    def energy(case):
        if measured:
            raise KeyboardInterrupt
        measured.append(case)
        case.metrics['energy_j_per_img'] = None

    monkeypatch.setattr(Case, 'measure_energy', energy)
    arguments = [str(CONFIG), str(CONFIG), '--device', 'cpu', *QUICK]
    arguments += ['--shape', '64', '64', '--regions', 'forward', '--out', str(tmp_path)]
    assert run(benchmark, arguments) == 130
    (result,) = _results(tmp_path)
    assert result['metrics']['latency_forward_ms']['n'] > 0
    assert '1 results are written: ' in capsys.readouterr().out


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
        ('--checkpoint a.pth b.pth', '2 checkpoints for 1 configs'),
        ('--layers --compile', 'a compiled network has no layers'),
        ('--backend ncnn', "backend 'ncnn': expected some of mmdet, torch"),
        ('--backend tensorrt', 'TensorRT runs on NVIDIA GPUs, not on cpu'),
        ('--backend torch --precision fp16', 'no fast fp16 on a CPU'),
        ('--backend mmdet torch --compile', "--compile: for mmdet's own way only"),
        ('--backend all --fuse-conv-bn', "--fuse-conv-bn: for mmdet's own way only"),
        ('--backend torch --precision tf32', '--precision tf32: for mmdet'),
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


@pytest.mark.slow
def test_compiled_detector_is_measured_and_counted_as_it_is_eager(benchmark, tmp_path):
    quick = [*QUICK, '--shape', '64', '64', '--out', str(tmp_path), '--device', 'cpu']
    for options in ([], ['--compile']):
        assert run(benchmark, [str(CONFIG), *quick, *options]) == 0
    compiled, eager = _results(tmp_path)
    assert compiled['settings']['compile'] is True
    assert compiled['layers'] == eager['layers']
    assert compiled['metrics']['macs_g'] == eager['metrics']['macs_g']
    assert compiled['metrics']['boxes_per_img'] == eager['metrics']['boxes_per_img']


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['fp32', 'tf32', 'amp-fp16', 'amp-bf16'])
def test_gpu_is_measured_at_every_precision(benchmark, tmp_path, precision):
    arguments = [str(CONFIG), *QUICK, '--precision', precision, '--out', str(tmp_path)]
    before = torch.backends.cudnn.allow_tf32
    assert run(benchmark, arguments) == 0
    (result,) = _results(tmp_path)
    assert result['environment']['gpu'] == torch.cuda.get_device_name()
    assert result['environment']['cudnn_tf32'] is (precision == 'tf32')
    assert torch.backends.cudnn.allow_tf32 is before
    detect = result['metrics']['latency_detect_ms']
    assert result['metrics']['latency_forward_ms']['median'] < detect['median']
    assert result['metrics']['peak_allocated_mb'] > result['metrics']['weights_mb']
    assert result['metrics']['sm_clock_mhz']['max'] > 0


@pytest.mark.gpu
def test_memory_on_a_gpu_is_that_of_one_detector(benchmark, tmp_path):
    arguments = [str(CONFIG)] * 3 + QUICK + ['--regions', 'forward', '--energy']
    assert run(benchmark, [*arguments, '--out', str(tmp_path)]) == 0
    results = [result['metrics'] for result in _results(tmp_path)]
    first, *others = (metrics['peak_allocated_mb'] for metrics in results)
    assert others == pytest.approx([first, first], abs=1)
    assert all(metrics['energy_j_per_img'] > 0 for metrics in results)
