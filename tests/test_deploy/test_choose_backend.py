"""The fastest backend is chosen, but never one that finds something else."""

import pytest
import torch
from small_detectors import detector

from mmeff.deploy.backends import onnxruntime_backend, openvino_backend, torch_backend
from mmeff.deploy.choose import NAMES, build_backends, choose, disagreement, expand
from mmeff.deploy.optimized import optimize
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch


@pytest.fixture(scope='module')
def ssdlite():
    return detector('ssdlite')


@pytest.fixture(autouse=True)
def _torch_only(monkeypatch):
    """No compiler and no runtimes, as on a bare machine: exports take their time."""
    monkeypatch.setenv('PATH', '')
    for module in (onnxruntime_backend, openvino_backend):
        monkeypatch.setattr(module, 'missing', lambda settings: 'not installed')


def test_the_fastest_is_returned_with_a_report_of_all(ssdlite):
    said = []
    name, model = choose(ssdlite, progress=said.append)
    report = model.backend_report
    assert set(report) == set(NAMES)
    times = {key: value for key, value in report.items() if isinstance(value, float)}
    assert set(times) == {'mmdet', 'torch'}
    assert name == min(times, key=times.get)
    assert 'C++ compiler' in report['compile']
    assert report['openvino'] == 'backend openvino: not installed'
    assert 'torch: building' in said


def test_a_backend_that_computes_something_else_is_never_chosen(ssdlite, monkeypatch):
    build = torch_backend.build

    def build_wrong(*arguments):
        run = build(*arguments)
        return lambda images: tuple(1.01 * output for output in run(images))

    monkeypatch.setattr(torch_backend, 'build', build_wrong)
    name, model = choose(ssdlite)
    assert name == 'mmdet'
    assert model is ssdlite
    assert 'outputs of the network differ by 1.0e-02' in model.backend_report['torch']


def test_wrong_detections_of_a_right_network_are_found(ssdlite):
    data = make_batch(ssdlite.cfg)
    fast = optimize(ssdlite, 'torch')
    assert disagreement(fast, ssdlite, data) is None
    step = fast.test_step

    def test_step(data):
        samples = step(data)
        samples[0].pred_instances = samples[0].pred_instances[1:]
        return samples

    fast.test_step = test_step
    assert 'detections differ: 1 of' in disagreement(fast, ssdlite, data)


def test_outputs_that_are_no_numbers_disagree(ssdlite):
    fast = optimize(ssdlite, 'torch')
    extract = fast.extract_feat

    def broken(images):
        features = extract(images)
        features.outputs[0][0].fill_(torch.nan)
        return features

    with torch.inference_mode():
        fast.extract_feat = broken
        reason = disagreement(fast, ssdlite, make_batch(ssdlite.cfg))
    assert 'differ by inf' in reason


def test_threads_are_restored(ssdlite):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        choose(ssdlite, threads=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_missing_backend_is_left_out_of_all_and_an_error_by_its_name(ssdlite):
    data = make_batch(ssdlite.cfg)
    detectors, refused = build_backends(ssdlite, ['all'], data=data)
    assert list(detectors) == ['mmdet', 'torch']
    assert set(refused) == {'compile', 'onnxruntime', 'openvino', 'tensorrt'}
    assert detectors['mmdet'] is ssdlite
    with pytest.raises(UserError, match='backend openvino: not installed'):
        build_backends(ssdlite, ['all', 'openvino'], data=data)


def test_what_a_runtime_raises_becomes_a_reason(ssdlite, monkeypatch):
    def build(*_):
        raise MemoryError('no room\nfor it')

    monkeypatch.setattr(torch_backend, 'build', build)
    data = make_batch(ssdlite.cfg)
    with pytest.raises(UserError, match=r'torch cannot run .*: MemoryError: no room$'):
        build_backends(ssdlite, ['torch'], data=data)


def test_names_are_checked_and_come_once():
    assert expand(['torch', 'all']) == ['torch', 'mmdet', *NAMES[2:]]
    with pytest.raises(UserError, match="'ncnn': expected some of mmdet, torch"):
        expand(['ncnn'])
