"""Detectors fall into networks that can be put back, or are refused with a reason."""

import copy
from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.registry import MODELS as REGISTRY
from mmengine.config import Config
from mmengine.registry import init_default_scope
from two_stage_detectors import two_stage_detector

from mmeff.checkpoints.detector import build_detector
from mmeff.deploy.parts import ROIS, Part, split
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch

CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'
FEATURES = ['features', 'roi_head.bbox_head']
NAMES = {
    'faster_rcnn': FEATURES,
    'mask_rcnn': [*FEATURES, 'roi_head.mask_head'],
    'cascade_rcnn': [
        'features',
        *(
            f'roi_head.{head}_head.{stage}'
            for head in ('bbox', 'mask')
            for stage in '01'
        ),
    ],
    'c4': ['features', 'roi_head.shared_head', 'roi_head.bbox_head'],
}
SINGLE_STAGE = {
    'retinanet': ('retinanet/retinanet_r50_fpn_1x_coco.py', dict(stacked_convs=1)),
    'fcos': (
        'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
        dict(stacked_convs=1, norm_cfg=None),
    ),
}
REFUSED = {
    'detr/detr_r50_8xb2-150e_coco.py': 'DETR cannot be split into networks: expected',
    'yolact/yolact_r50_1xb8-55e_coco.py': "expected one of mmdet's SingleStageDetector",
    'solo/solo_r50_fpn_1x_coco.py': 'SOLO cannot be split into networks',
    'point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py': (
        'has its own PointRendRoIHead.predict_mask'
    ),
    'ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py': 'has its own MaskScoringRoIHead.predict_mask',
    'double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py': (
        'has its own DoubleHeadRoIHead._bbox_forward'
    ),
    'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py': 'has its own EmbeddingRPNHead.predict',
    'fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py': 'has no `rpn_head`',
}


def images(model: torch.nn.Module, data: dict) -> torch.Tensor:
    return model.data_preprocessor(copy.deepcopy(data), False)['inputs']


def single_stage_detector(kind: str) -> torch.nn.Module:
    path, head = SINGLE_STAGE[kind]
    cfg = Config.fromfile(CONFIGS / path)
    cfg.merge_from_dict(
        {
            'model.backbone.depth': 18,
            'model.backbone.style': 'pytorch',
            'model.neck.in_channels': [64, 128, 256, 512],
            'model.neck.out_channels': 32,
            'model.bbox_head.in_channels': 32,
            'model.bbox_head.feat_channels': 32,
            'model.test_cfg.score_thr': 0.0,
            **{f'model.bbox_head.{key}': value for key, value in head.items()},
        }
    )
    return build_detector(cfg, device='cpu')


def check_parts(model: torch.nn.Module, names: list[str]) -> list[Part]:
    """The networks, put back as they are, find what the detector finds."""
    data = make_batch(model.cfg, (96, 128), batch=2)
    again = copy.deepcopy(model)
    parts = split(again, images(again, data))
    assert [part.name for part in parts] == names
    for part in parts:
        part.install(part.module)
    with torch.no_grad():
        expected, found = model.test_step(data), again.test_step(data)
    for one, other in zip(found, expected, strict=True):
        assert len(other.pred_instances) > 3
        for key, value in other.pred_instances.items():
            assert torch.equal(one.pred_instances[key], value), key
    return parts


@pytest.mark.parametrize('kind', NAMES)
def test_two_stages_find_the_same_by_their_parts(kind):
    first, *others = check_parts(two_stage_detector(kind), NAMES[kind])
    assert not first.on_rois
    assert all(part.on_rois and part.dynamic is ROIS for part in others)
    for part in (first, *others):
        with torch.no_grad():
            outputs = part.module(part.example)
        assert all(isinstance(output, torch.Tensor) for output in outputs)


@pytest.mark.parametrize('kind', SINGLE_STAGE)
def test_single_stages_of_mmdet_find_the_same_by_their_part(kind):
    check_parts(single_stage_detector(kind), ['network'])


def test_what_runs_a_part_gets_all_its_inputs():
    model = two_stage_detector('mask_rcnn')
    data, calls = make_batch(model.cfg, (96, 128)), []
    for part in split(model, images(model, data)):

        def run(inputs, part=part):
            calls.append(part.name)
            return part.module(inputs)

        part.install(run)
    with torch.no_grad():
        model.test_step(data)
    assert calls == NAMES['mask_rcnn']


@pytest.mark.parametrize('path', REFUSED, ids=lambda path: path.split('/')[0])
def test_other_detectors_are_refused_with_the_reason(path):
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIGS / path)
    with torch.device('meta'):
        model = REGISTRY.build(cfg.model)
    with pytest.raises(UserError) as caught:
        split(model, torch.zeros(1, 3, 64, 64))
    assert REFUSED[path] in str(caught.value)
    assert "Leave out the backend: mmdet's own way runs it" in str(caught.value)


def test_box_head_without_boxes_is_refused():
    model = two_stage_detector('faster_rcnn')
    model.roi_head.bbox_head.with_reg = False
    with pytest.raises(
        UserError, match=r'Shared2FCBBoxHead.*outputs are not all tensors'
    ):
        split(model, torch.zeros(1, 3, 64, 64))
