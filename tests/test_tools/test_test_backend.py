"""`mmeff test --backend`: the same evaluation, of the detector as a backend runs it."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

import mmeff
from mmeff.apis.test import test as evaluate
from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.deploy.agreement import compare, cuts_of
from mmeff.deploy.backends import compile_backend, onnxruntime_backend, openvino_backend
from mmeff.deploy.onnx_export import export
from mmeff.errors import UserError

CONFIG = f"""
_base_ = [{mmeff.config_path('ssdlite320_mobilenetv2_coco.py')!r}]
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = (128, 128)
test_dataloader = dict(
    batch_size=3, num_workers=0, dataset=dict(pipeline=test_pipeline))
val_dataloader = test_dataloader
model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=(144, 1280), out_channels=(144, 1280, 32, 16, 16, 16)),
    bbox_head=dict(
        in_channels=(144, 1280, 32, 16, 16, 16),
        num_classes=3,
        anchor_generator=dict(
            strides=[16, 32, 64, 128, 128, 128], input_size=128)))
custom_hooks = [dict(type='EMAHook')]  # copies the model before the test
"""


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> tuple[Path, Path]:
    """Config, and weights whose scores differ from box to box."""
    folder = tmp_path_factory.mktemp('test_backend')
    config, weights = folder / 'small.py', folder / 'weights.pth'
    config.write_text(CONFIG)
    model = build_detector(load_config(config), device='cpu')
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.9
    model.train()
    with torch.no_grad():
        model.extract_feat(torch.randn(4, 3, 128, 128, generator=generator))
    torch.save({'state_dict': model.state_dict()}, weights)
    return config, weights


def _raw(path: Path) -> list[DetDataSample]:
    found = pickle.loads(path.read_bytes())
    return [
        DetDataSample(pred_instances=InstanceData(**each['pred_instances']))
        for each in found
    ]


def test_backend_is_evaluated_and_recorded(files, tiny_shapes, tmp_path):
    common = {'data': tiny_shapes, 'work_dir': tmp_path}
    metrics = [
        evaluate(*files, **common, out=tmp_path / f'{name}.pkl', backend=name)
        for name in ('mmdet', 'torch')
    ]
    expected, found = (_raw(tmp_path / f'{n}.pkl') for n in ('mmdet', 'torch'))
    agreement = compare(found, expected, cuts_of(load_config(files[0])))
    assert agreement.images == 4
    assert agreement.boxes > 100
    assert agreement.agrees(), agreement
    assert metrics[1] == pytest.approx(metrics[0], abs=1e-4)
    written = {
        path.name: json.loads(path.read_text())
        for path in tmp_path.glob('metrics*.json')
    }
    assert set(written) == {'metrics.json', 'metrics__torch__fp32.json'}
    for name, content in written.items():
        assert content['backend'] == ('torch' if 'torch' in name else 'mmdet')
        assert content['precision'] == 'fp32'
    digests = {content['checkpoint_sha256'] for content in written.values()}
    assert len(digests) == 1


def test_auto_records_what_it_chose(files, tiny_shapes, tmp_path, monkeypatch):
    for module in (compile_backend, onnxruntime_backend, openvino_backend):
        monkeypatch.setattr(module, 'missing', lambda settings: 'not here')
    evaluate(*files, data=tiny_shapes, work_dir=tmp_path, backend='auto')
    (path,) = tmp_path.glob('metrics*.json')
    assert json.loads(path.read_text())['backend'] in ('mmdet', 'torch')


@pytest.mark.slow
def test_exported_file_is_evaluated_and_joins_its_source(files, tiny_shapes, tmp_path):
    config, weights = files
    model = build_detector(load_config(config), weights, 'cpu')
    model.dataset_meta = {'classes': ('circle', 'rectangle', 'triangle')}
    out = tmp_path / 'net.onnx'
    export(model, out, post='outside', pre='outside', checkpoint=weights)
    common = {'data': tiny_shapes, 'work_dir': tmp_path}
    expected = evaluate(config, weights, **common)
    found = evaluate(config, out, **common, backend='onnxruntime')
    assert found == pytest.approx(expected, abs=1e-4)
    digests = [
        json.loads((tmp_path / f'metrics{name}.json').read_text())['checkpoint_sha256']
        for name in ('', '__onnxruntime__fp32')
    ]
    assert digests[0] == digests[1]
    with pytest.raises(UserError, match='mmdet tests checkpoints in fp32'):
        evaluate(config, out, **common)
    with pytest.raises(UserError, match='backend torch runs no ONNX files'):
        evaluate(config, out, **common, backend='torch')


@pytest.mark.parametrize(
    ('backend', 'precision', 'message'),
    [
        ('ncnn', 'fp32', "backend 'ncnn': expected some of mmdet, torch"),
        ('mmdet', 'bf16', 'mmdet tests checkpoints in fp32; name a --backend'),
        ('torch', 'fp16', 'no fast fp16 on a CPU'),
    ],
)
def test_what_cannot_be_is_refused(
    files, tiny_shapes, tmp_path, backend, precision, message
):
    with pytest.raises(UserError, match=message):
        evaluate(
            *files,
            data=tiny_shapes,
            work_dir=tmp_path,
            backend=backend,
            precision=precision,
        )
    assert not list(tmp_path.glob('metrics*.json'))
