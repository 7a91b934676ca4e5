"""Exported files compute what the detector does, whoever runs them."""

import json
import logging
import re
import sys
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from skimage import data as photographs
from small_detectors import config, detector

import mmeff
from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.deploy import export, optimize
from mmeff.deploy.agreement import compare, cuts_of
from mmeff.deploy.check_onnx import check_outputs, run
from mmeff.deploy.exported import ExportedNetworks
from mmeff.deploy.onnx_part import onnx_bytes, output_names, trace
from mmeff.deploy.parts import split
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch

CLASSES = ('circle', 'square', 'triangle')
DOCS = Path(__file__).parents[2] / 'docs' / 'deploy.md'
FAMILIES = [  # of detectors with one stage
    'ssdlite320_mobilenetv1_coco',
    'ssdlite320_mobilenetv2-mmdet_coco',
    'ssd300_mobilenetv1_voc',
    'dsod300_vovnet27-slim_coco',
    'dsod300_densenet67_voc',
    'pelee304_voc',
    'refinedet320_vovnet27-slim_coco',
    'refinedet320_resnet50_coco',
    'vovnet27-slim_rtmdet',
    'densenet_retinanet',
    'efficientnet_retinanet',
    'g-ghost-regnet_retinanet',
    'ghost-resnet50_retinanet',
    'ghostnet_retinanet',
    'mobilenetv3_retinanet',
    'peleenet_retinanet',
    'shufflenetv2_retinanet',
    'vovnet39_retinanet',
]
FCOS_LIKE = {
    'type': 'FCOSHead',
    'num_classes': 3,
    'in_channels': 16,
    'feat_channels': 16,
    'stacked_convs': 1,
    'strides': [8, 16, 32],
    'norm_on_bbox': True,
    'centerness_on_reg': True,
    'norm_cfg': None,
}


@pytest.fixture(scope='module')
def ssdlite():
    model = detector('ssdlite')
    model.dataset_meta = {'classes': CLASSES}
    return model


@pytest.fixture(scope='module')
def whole_file(ssdlite, tmp_path_factory) -> Path:
    """Pre- and post-processing inside, fixed sizes."""
    out = tmp_path_factory.mktemp('whole') / 'net.onnx'
    assert export(ssdlite, out, pre='inside', post='inside') == [out]
    return out


@pytest.fixture(scope='module')
def raw_file(ssdlite, tmp_path_factory) -> Path:
    """Both outside, sizes vary."""
    out = tmp_path_factory.mktemp('raw') / 'net.onnx'
    weights = out.with_suffix('.pth')
    weights.write_bytes(b'weights')
    export(ssdlite, out, batch=None, shape=None, opset=18, checkpoint=weights)
    return out


def compare_file(content: bytes, model, data: dict, inputs) -> int:
    """Compare detections with mmdet's; gives the number of pairs."""
    boxes, scores, labels, numbers = map(torch.from_numpy, run(content, inputs))
    limit = model.bbox_head.test_cfg['max_per_img']
    assert boxes.shape == (len(inputs), limit, 4)
    assert scores.shape == labels.shape == (len(inputs), limit)
    samples = []
    for i, number in enumerate(numbers.tolist()):
        assert (labels[i, number:] == -1).all()
        assert not scores[i, number:].any()
        assert not boxes[i, number:].any()
        assert (scores[i].diff() <= 0).all()
        samples.append(DetDataSample())
        samples[-1].pred_instances = InstanceData(
            bboxes=boxes[i, :number],
            scores=scores[i, :number],
            labels=labels[i, :number],
        )
    with torch.no_grad():
        expected = model.test_step(data)
    agreement = compare(samples, expected, cuts_of(model.cfg))
    assert agreement.unmatched == 0
    assert agreement.max_box_px < 0.05
    assert agreement.max_score < 1e-4
    return agreement.boxes


def noise(number: int, height: int, width: int) -> dict:
    """A batch of images without a shape in common with the synthetic one."""
    rng = np.random.default_rng(number)
    images = [
        cv2.resize(rng.integers(0, 256, (5, 7, 3), np.uint8), (width, height))
        for _ in range(number)
    ]
    samples = [
        DetDataSample(
            metainfo={
                'img_shape': (height, width),
                'ori_shape': (height, width),
                'scale_factor': (1.0, 1.0),
            }
        )
        for _ in images
    ]
    tensors = [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in images]
    return {'inputs': tensors, 'data_samples': samples}


def stacked(data: dict) -> torch.Tensor:
    return torch.stack(
        [image.permute(1, 2, 0) for image in data['inputs']]
    ).contiguous()


def test_file_with_all_inside_finds_what_mmdet_finds(ssdlite, whole_file):
    data = noise(1, 128, 128)
    assert compare_file(whole_file.read_bytes(), ssdlite, data, stacked(data)) > 5


def test_file_is_made_of_standard_operators(whole_file):
    model = onnx.load(whole_file)
    onnx.checker.check_model(model)
    assert {node.domain for node in model.graph.node} == {''}
    assert not model.functions
    assert [i.domain for i in model.opset_import] == ['']
    names = [output.name for output in model.graph.output]
    assert names == ['boxes', 'scores', 'labels', 'num_dets']


def test_files_tell_what_they_are(whole_file, raw_file):
    facts = {e.key: e.value for e in onnx.load(whole_file).metadata_props}
    assert json.loads(facts['classes']) == list(CLASSES)
    assert json.loads(facts['size']) == [128, 128]
    assert json.loads(facts['keep_ratio']) is False
    assert (facts['pre'], facts['post'], facts['part']) == (
        'inside',
        'inside',
        'network',
    )
    assert facts['mmeff_version'] == mmeff.__version__
    model = onnx.load(raw_file)
    facts = {e.key: e.value for e in model.metadata_props}
    assert facts['checkpoint_sha256'] == sha256(b'weights').hexdigest()
    assert model.opset_import[0].version == 18


def test_script_of_the_docs_needs_no_mmeff(ssdlite, whole_file, tmp_path, python):
    script = re.search(
        r'### Without mmeff.*?```python\n(.*?)```', DOCS.read_text(), re.DOTALL
    )[1]
    assert 'mmeff' not in script
    assert 'torch' not in script
    image = cv2.cvtColor(photographs.astronaut()[:400], cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(tmp_path / 'photo.png'), image)
    (tmp_path / 'detect.py').write_text(script)
    done = python('detect.py', whole_file, 'photo.png')
    rows = [line.split() for line in done.stdout.splitlines()]
    found = DetDataSample()
    found.pred_instances = InstanceData(
        bboxes=torch.tensor([list(map(float, row[2:])) for row in rows]),
        scores=torch.tensor([float(row[1]) for row in rows]),
        labels=torch.tensor([CLASSES.index(row[0]) for row in rows]),
    )
    data = make_batch(ssdlite.cfg, image=tmp_path / 'photo.png')
    with torch.no_grad():
        expected = ssdlite.test_step(data)
    agreement = compare([found], expected, cuts_of(ssdlite.cfg))
    assert agreement.boxes > 5
    assert agreement.unmatched == 0
    assert agreement.max_box_px < 0.02  # printed with two digits
    assert agreement.max_score < 2e-4


def test_raw_outputs_at_other_sizes_and_batches(ssdlite, raw_file):
    graph = onnx.load(raw_file).graph
    axes = [
        d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim
    ]
    assert axes == ['batch', 3, 'height', 'width']
    part = split(ssdlite, torch.zeros(1, 3, 128, 128))[0]
    names = [output.name for output in graph.output]
    assert names == output_names(part)
    assert names[0] == 'cls_score_0'
    assert names[-1] == 'bbox_pred_5'
    for shape in ((1, 3, 128, 128), (3, 3, 96, 160)):
        check_outputs('net', raw_file.read_bytes(), part.module, torch.randn(shape))


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_exported_file_runs_in_the_detector(ssdlite, raw_file, backend):
    pytest.importorskip(backend)
    fast = optimize(ssdlite, backend, exported=raw_file)
    data = make_batch(ssdlite.cfg, batch=2)
    with torch.no_grad():
        agreement = compare(
            fast.test_step(data), ssdlite.test_step(data), cuts_of(ssdlite.cfg)
        )
    assert agreement.agrees()
    assert agreement.boxes > 5


def test_exported_file_of_another_detector_is_refused(
    ssdlite, whole_file, raw_file, tmp_path
):
    with pytest.raises(UserError, match='no such file or folder'):
        ExportedNetworks(tmp_path / 'none.onnx')
    with pytest.raises(UserError, match='pre and post inside'):
        ExportedNetworks(whole_file).content('network')
    with pytest.raises(UserError, match='holds the part network'):
        ExportedNetworks(raw_file).content('features')
    with pytest.raises(UserError, match='has no network'):
        ExportedNetworks(tmp_path).content('network')
    (tmp_path / 'text.onnx').write_text('text')
    with pytest.raises(UserError, match='cannot be read as ONNX'):
        ExportedNetworks(tmp_path / 'text.onnx').content('network')
    with pytest.raises(UserError, match='backend torch runs no ONNX'):
        optimize(ssdlite, 'torch', exported=raw_file)
    part = split(ssdlite, torch.zeros(1, 3, 128, 128))[0]
    with pytest.raises(UserError, match='for the classes circle'):
        ExportedNetworks(raw_file).fit(part, ('cat',), False)


def test_fixed_file_of_another_size_is_refused(ssdlite, raw_file, tmp_path):
    model = onnx.load(raw_file)
    for axis, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (1, 3, 64, 64), strict=True
    ):
        axis.dim_value = size
    onnx.save(model, tmp_path / 'small.onnx')
    part = split(ssdlite, torch.zeros(1, 3, 128, 128))[0]
    networks = ExportedNetworks(tmp_path / 'small.onnx')
    with pytest.raises(UserError, match=r'input of \(1, 3, 64, 64\)'):
        networks.fit(part, (), False)
    part = split(ssdlite, torch.zeros(1, 3, 64, 64))[0]
    with pytest.raises(UserError, match='export with --dynamic'):
        networks.fit(part, (), True)
    assert networks.fit(part, (), False).onnx


def test_wrong_result_is_not_written(ssdlite, tmp_path, monkeypatch):
    def another(*args, **options):
        module = args[1]
        for parameter in module.parameters():
            parameter.data += 0.1
        return trace(*args, **options)

    monkeypatch.setattr(sys.modules['mmeff.deploy.onnx_export'], 'trace', another)
    with pytest.raises(UserError, match='nothing was written'):
        export(ssdlite, tmp_path / 'net.onnx')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'post': 'both'}, "post='both'"),
        ({'out': 'net'}, 'ends in .onnx'),
        ({'opset': 17}, 'opset 17'),
        ({'shape': (8, 8)}, 'shape 8 8'),
    ],
)
def test_wrong_argument_is_a_message(ssdlite, tmp_path, options, message):
    out = tmp_path / options.pop('out', 'net.onnx')
    with pytest.raises(UserError, match=message):
        export(ssdlite, out, **options)


def test_other_suppression_is_refused(tmp_path):
    cfg = config('ssdlite')
    cfg.model.test_cfg.nms.type = 'soft_nms'
    with pytest.raises(UserError, match='expected plain nms'):
        export(build_detector(cfg, device='cpu'), tmp_path / 'net.onnx', post='inside')


def test_two_stages_are_a_folder_with_a_file_for_each(tmp_path):
    model = detector('faster_rcnn')
    out = tmp_path / 'net'
    with pytest.raises(UserError, match='has two stages'):
        export(model, out, post='inside')
    with pytest.raises(UserError, match='name a folder'):
        export(model, tmp_path / 'net.onnx')
    files = export(model, out)
    assert [file.name for file in files] == [
        'features.onnx',
        'roi_head.bbox_head.onnx',
    ]
    outputs = [output.name for output in onnx.load(files[0]).graph.output]
    assert outputs[0] == 'feature_0'
    assert outputs[-1] == 'bbox_pred_4'
    outputs = [output.name for output in onnx.load(files[1]).graph.output]
    assert outputs == ['cls_score', 'bbox_pred']
    fast = optimize(model, 'onnxruntime', exported=out, dynamic=False)
    data = make_batch(model.cfg)
    with torch.no_grad():
        agreement = compare(
            fast.test_step(data), model.test_step(data), cuts_of(model.cfg)
        )
    assert agreement.agrees()


def test_dynamic_export_says_nothing(capfd, caplog):
    pool = torch.nn.MaxPool2d(3, 2, ceil_mode=True)  # sympy stumbles over its sizes
    net = torch.nn.Sequential(*[torch.nn.Conv2d(3, 3, 3, 2, 1), pool, pool, pool])
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    content = trace('net', net, torch.rand(1, 3, 128, 128), axes, ['out'])
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert capfd.readouterr() == ('', '')
    (out,) = run(content, torch.zeros(2, 3, 97, 64))
    assert out.shape == (2, 3, 6, 4)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['retinanet', 'fcos', 'refinedet'])
@pytest.mark.parametrize('varies', [False, True])
def test_detections_of_other_heads(name, varies, tmp_path):
    model = other_head(name)
    sizes = {'batch': None, 'shape': None} if varies else {'shape': (128, 192)}
    out = tmp_path / 'net.onnx'
    export(model, out, pre='inside', post='inside', **sizes)
    # RefineDet's maps fit together at multiples of 64 only
    data = noise(2, 192, 256) if varies else noise(1, 128, 192)
    assert compare_file(out.read_bytes(), model, data, stacked(data)) > 1


def other_head(name: str):
    if name == 'refinedet':
        cfg = load_config('refinedet320_vovnet27-slim_coco.py')
        model = build_detector(cfg, device='cpu')
        for layer in (*model.bbox_head.odm_cls, *model.bbox_head.arm_cls):
            torch.nn.init.normal_(layer.weight, std=0.05)
        return model
    if name == 'retinanet':
        return detector(name)
    cfg = config('retinanet')
    cfg.model.type = 'FCOS'
    cfg.model.bbox_head = FCOS_LIKE
    cfg.model.test_cfg.update(score_thr=0.0, nms_pre=1000)
    model = build_detector(cfg, device='cpu')
    torch.nn.init.normal_(model.bbox_head.conv_cls.weight, std=0.5)
    return model


@pytest.mark.slow
@pytest.mark.parametrize('name', FAMILIES)
def test_every_family_computes_the_same_at_other_sizes(name):
    model = build_detector(load_config(name), device='cpu')
    (part,) = split(model, torch.rand(1, 3, 320, 320))
    check(part, (1, 3, 320, 320), dynamic=False)
    check(part, (2, 3, 320, 384), dynamic=True)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['vovnet39_maskrcnn', 'ghostnet_fasterrcnn'])
def test_parts_of_two_stages_compute_the_same_at_other_sizes(name):
    model = build_detector(load_config(name), device='cpu')
    first, *heads = split(model, torch.rand(1, 3, 128, 192))
    check(first, (2, 3, 160, 96), dynamic=True)
    for part in heads:
        check(part, (3, *part.example.shape[1:]), dynamic=True)


def check(part, shape, dynamic: bool) -> None:
    content = onnx_bytes(part, dynamic)
    check_outputs(part.name, content, part.module, torch.randn(shape))
