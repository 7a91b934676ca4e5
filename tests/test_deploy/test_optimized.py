"""An optimised detector finds what mmdet's own finds, or is refused with a reason."""

import importlib.util

import pytest
import torch
from mmengine.structures import InstanceData
from small_detectors import CONFIGS, config, detector

from mmeff.deploy.agreement import compare, cuts_of
from mmeff.deploy.backends import Settings, backend, onnxruntime_backend
from mmeff.deploy.optimized import has_fixed_size, optimize
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch

slow = pytest.mark.slow
CASES = [
    pytest.param(name, kind, marks=() if fast else slow, id=f'{name}-{kind}')
    for name in ('torch', 'compile', 'onnxruntime', 'openvino')
    for kind in CONFIGS
    for fast in [name == 'torch' or (name, kind) == ('onnxruntime', 'ssdlite')]
]


@pytest.fixture(scope='module', params=CONFIGS)
def model(request):
    return detector(request.param)


def usable(name: str, precision: str = 'fp32') -> None:
    reason = backend(name).missing(Settings(torch.device('cpu'), precision))
    if reason:
        pytest.skip(reason)


@torch.no_grad()
def check(fast, model, data) -> int:
    """Compare on a batch; returns how many boxes there are."""
    expected, found = model.test_step(data), fast.test_step(data)
    agreement = compare(found, expected, cuts_of(model.cfg))
    assert agreement.agrees(), agreement
    for one, other in zip(found, expected, strict=True):
        assert one.metainfo == other.metainfo
        assert one.pred_instances.keys() == other.pred_instances.keys()
    return agreement.boxes


@pytest.mark.parametrize(('name', 'kind'), CASES)
def test_detections_are_those_of_mmdet(name, kind):
    usable(name)
    model = detector(kind)
    data = make_batch(model.cfg)
    fast = optimize(model, name)
    assert check(fast, model, data) > 1
    assert check(fast, model, make_batch(model.cfg, batch=3)) > 5
    assert type(fast) is type(model)
    assert fast.dataset_meta == model.dataset_meta


@pytest.mark.parametrize('kind', CONFIGS)
def test_sizes_vary_where_the_pipeline_lets_them(kind):
    model = detector(kind, width=160, keep_ratio=True)
    fast = optimize(model, 'torch')
    for shape in ((96, 128), (160, 100)):
        check(fast, model, make_batch(model.cfg, shape))


@slow
@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_exported_networks_take_varying_sizes_too(name):
    usable(name)
    model = detector('retinanet', width=160, keep_ratio=True)
    fast = optimize(model, name)
    for shape in ((96, 128), (160, 100)):
        check(fast, model, make_batch(model.cfg, shape, batch=2))


def test_nothing_is_found_in_nothing():
    model = detector('ssdlite')
    model.bbox_head.test_cfg.score_thr = 0.999
    fast = optimize(model, 'torch')
    with torch.no_grad():
        (sample,) = fast.test_step(make_batch(model.cfg))
    assert isinstance(sample.pred_instances, InstanceData)
    assert len(sample.pred_instances) == 0


@pytest.mark.parametrize('precision', ['bf16'])
def test_half_precision_is_close(model, precision):
    usable('torch', precision)
    fast = optimize(model, 'torch', precision=precision)
    data = make_batch(model.cfg)
    with torch.no_grad():
        found, expected = fast.test_step(data), model.test_step(data)
    agreement = compare(found, expected, cuts_of(model.cfg), precision)
    assert agreement.agrees(precision), agreement
    assert not agreement.agrees()  # it is another precision indeed


def test_original_stays_as_it_was(model):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimize(model, 'torch')
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert any(parameter.requires_grad for parameter in model.parameters())


def test_fixed_size_is_read_from_the_pipeline():
    assert has_fixed_size(config('ssdlite'))
    assert not has_fixed_size(config('ssdlite', keep_ratio=True))


@pytest.mark.parametrize(
    ('name', 'precision', 'message'),
    [
        ('ncnn', 'fp32', "backend 'ncnn': expected one of torch, compile"),
        ('torch', 'int8', "precision 'int8': expected one of fp32, bf16, fp16"),
        ('torch', 'fp16', 'torch has no fast fp16 on a CPU; use bf16'),
        ('onnxruntime', 'bf16', 'ONNX Runtime is used with fp32, not bf16'),
        ('tensorrt', 'fp32', 'TensorRT runs on NVIDIA GPUs, not on cpu'),
    ],
)
def test_what_cannot_be_is_refused_in_one_message(model, name, precision, message):
    with pytest.raises(UserError) as caught:
        optimize(model, name, precision=precision)
    assert message in str(caught.value)


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_missing_package_is_told_with_the_command(model, name, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda n: None if n == name else find(n)
    )
    with pytest.raises(UserError, match=f'{name} is not installed: pip install "mmeff'):
        optimize(model, name)


def test_missing_exporter_is_told(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda n: None if n == 'onnxscript' else find(n)
    )
    reason = onnxruntime_backend.missing(Settings(torch.device('cpu')))
    assert reason.startswith('onnxscript is not installed')
