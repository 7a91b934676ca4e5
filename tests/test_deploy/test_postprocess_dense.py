"""Faster post-processing gives the detections of mmdet's own, head by head."""

import copy
import math

import pytest
import torch
from mmcv.ops import batched_nms
from mmdet.models.task_modules.prior_generators import MlvlPointGenerator
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmeff.checkpoints.detector import build_detector
from mmeff.deploy.optimized import optimize
from mmeff.deploy.postprocess import dense
from mmeff.deploy.postprocess.boxes import QuickCoder, speed_up_coder
from mmeff.deploy.postprocess.dense import speed_up_dense
from mmeff.deploy.postprocess.suppression import best_kept, speed_up_suppression
from mmeff.models.dense_heads import RefineDetHead
from mmeff.profiling.inputs import make_batch

CLASSES = 5
SIZES = [(6, 8), (3, 4), (2, 2)]
STRIDES = [8, 16, 32]
PRIORS = {'type': 'mmeff.PriorBoxGenerator', 'strides': STRIDES, 'max_sizes': None}
PRIORS |= {'min_sizes': [12, 24, 48], 'ratios': [[2], [2, 3], []]}
ANCHORS = {'type': 'AnchorGenerator', 'strides': STRIDES, 'octave_base_scale': 4}
POINTS = {'type': 'MlvlPointGenerator', 'offset': 0, 'strides': STRIDES}
SSD = {'in_channels': [8, 8, 8], 'anchor_generator': PRIORS}
RETINA = {'scales_per_octave': 2, 'ratios': [0.5, 1.0, 2.0]}
HEADS = {
    'ssd_sigmoid': {'type': 'mmeff.SSDHead', 'use_sigmoid': True, **SSD},
    'ssd_softmax': {'type': 'mmeff.SSDHead', **SSD},
    'mmdet_ssd': {
        'type': 'SSDHead',
        'in_channels': [8, 8, 8],
        'anchor_generator': {
            'type': 'SSDAnchorGenerator',
            'scale_major': False,
            'strides': STRIDES,
            'ratios': [[2], [2, 3], [2]],
            'min_sizes': [12, 24, 48],
            'max_sizes': [24, 48, 90],
        },
    },
    'retina': {
        'type': 'RetinaHead',
        'in_channels': 8,
        'anchor_generator': {**ANCHORS, **RETINA},
    },
    'retina_softmax': {
        'type': 'RetinaHead',
        'in_channels': 8,
        'anchor_generator': {**ANCHORS, **RETINA},
        'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': False},
    },
    'fcos': {
        'type': 'FCOSHead',
        'in_channels': 8,
        'strides': STRIDES,
        'regress_ranges': ((-1, 64), (64, 128), (128, 1e8)),
    },
    'atss': {
        'type': 'ATSSHead',
        'in_channels': 8,
        'anchor_generator': {**ANCHORS, 'scales_per_octave': 1, 'ratios': [1.0]},
        'bbox_coder': {
            'type': 'DeltaXYWHBBoxCoder',
            'target_stds': [0.1, 0.1, 0.2, 0.2],
        },
        'loss_centerness': {'type': 'CrossEntropyLoss', 'use_sigmoid': True},
    },
    'rtmdet': {
        'type': 'RTMDetHead',
        'in_channels': 8,
        'with_objectness': False,
        'anchor_generator': POINTS,
        'bbox_coder': {'type': 'DistancePointBBoxCoder'},
        'loss_cls': {'type': 'QualityFocalLoss', 'use_sigmoid': True},
        'loss_bbox': {'type': 'GIoULoss'},
    },
}
REFINEDET = {
    'type': 'mmeff.RefineDetHead',
    'in_channels': [8, 8, 8],
    'feat_channels': 8,
    'with_inter': False,
    'anchor_generator': PRIORS,
}
TEST_CFG = {
    'nms_pre': 1000,
    'min_bbox_size': 0,
    'score_thr': 0.05,
    'nms': {'type': 'nms', 'iou_threshold': 0.5},
    'max_per_img': 30,
}


@pytest.fixture(autouse=True, scope='module')
def _one_thread():
    register_all_modules()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=[0, 2**62], ids=['filtered', 'all scores'])
def _either_way(request, monkeypatch):
    """Heads with more and with fewer logits than those whose scores are all computed."""
    monkeypatch.setattr(dense, 'FEW', request.param)


BOTH_WAYS = pytest.mark.usefixtures('_either_way')


def make_head(name, **test_cfg):
    cfg = {**HEADS, 'refinedet': REFINEDET}[name]
    test_cfg = ConfigDict({**TEST_CFG, **test_cfg})
    return MODELS.build({**cfg, 'num_classes': CLASSES, 'test_cfg': test_cfg}).eval()


def make_maps(head, batch=1, sizes=SIZES, shift=-4.0, spread=2.0):
    """Outputs of a head: logits, offsets and, if it has them, logits of centerness."""
    generator = torch.Generator().manual_seed(len(sizes) + batch)
    priors = head.prior_generator.num_base_priors

    def maps(channels, mean, std):
        shapes = [
            (batch, count * channels, *size)
            for count, size in zip(priors, sizes, strict=True)
        ]
        return [torch.randn(s, generator=generator) * std + mean for s in shapes]

    if isinstance(head, RefineDetHead):
        classes = maps(CLASSES + 1, 0, spread)
        for count, level in zip(priors, classes, strict=True):
            level.unflatten(1, (count, -1))[:, :, -1] -= shift
        return maps(2, 0, 3), maps(4, 0, 1), classes, maps(4, 0, 1)
    logits = maps(head.cls_out_channels, 0, spread)
    for count, level in zip(priors, logits, strict=True):
        level.unflatten(1, (count, -1))[:, :, :CLASSES] += shift
    offsets = maps(4, 0, 1)
    if isinstance(head.prior_generator, MlvlPointGenerator):  # distances
        offsets = [x.exp() * 8 for x in offsets]
    if hasattr(head, 'loss_centerness'):
        return logits, offsets, maps(1, 0, 2)
    return logits, offsets


def make_metas(batch):
    shapes = [(72, 96), (60, 80), (72, 40)]
    factors = [(0.5, 0.75), (2.0, 2.0), (1.1, 0.9)]
    return [
        {'img_shape': shape, 'scale_factor': factor}
        for shape, factor in zip(shapes[:batch], factors[:batch], strict=True)
    ]


def both(head, maps, **kwargs):
    """Detections of mmdet's own code and of the faster one."""
    batch = len(maps[0][0])
    kwargs = {'batch_img_metas': make_metas(batch), 'rescale': True, **kwargs}
    own = head.predict_by_feat(*maps, **kwargs)
    head = copy.copy(head)
    speed_up_dense(head)
    speed_up_suppression(head)
    assert '_bbox_post_process' in vars(head)
    assert ('predict_by_feat' in vars(head)) != (isinstance(head, RefineDetHead))
    return own, head.predict_by_feat(*maps, **kwargs)


def assert_same(own, fast):
    for expected, found in zip(own, fast, strict=True):
        assert found.keys() == expected.keys()
        assert torch.equal(found.labels, expected.labels)
        torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=0, atol=1e-4)


@BOTH_WAYS
@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('name', [*HEADS, 'refinedet'])
def test_detections_are_mmdets(name, layout, batch):
    head = make_head(name)
    maps = [
        [level.contiguous(memory_format=layout) for level in levels]
        for levels in make_maps(head, batch)
    ]
    own, fast = both(head, maps)
    assert all(len(result) > 5 for result in own)
    assert_same(own, fast)


@BOTH_WAYS
@pytest.mark.parametrize('name', [*HEADS, 'refinedet'])
def test_best_of_each_level_enter_the_suppression(name):
    limits = {'nms_pre': 20, 'score_thr': 0.01, 'max_per_img': 300}
    head = make_head(name, **limits)
    maps = make_maps(head, 3, shift=-1.0)
    own, fast = both(head, maps)
    assert_same(own, fast)
    unlimited = both(make_head(name, **{**limits, 'nms_pre': 5000}), maps)[1]
    assert len(unlimited[0]) > len(fast[0])


@BOTH_WAYS
@pytest.mark.parametrize('name', [*HEADS, 'refinedet'])
@pytest.mark.parametrize('batch', [1, 3])
def test_images_without_detections(name, batch):
    head = make_head(name)
    maps = make_maps(head, batch, shift=-60.0)
    own, fast = both(head, maps)
    assert [len(result) for result in fast] == [0] * batch
    assert fast[0].bboxes.shape == (0, 4)
    assert_same(own, fast)


@BOTH_WAYS
@pytest.mark.parametrize('threshold', [0.0, 0.02, 0.5, 0.9, 1.0])
@pytest.mark.parametrize('name', ['ssd_sigmoid', 'ssd_softmax', 'retina', 'mmdet_ssd'])
def test_scores_near_the_threshold_are_on_their_side(name, threshold):
    """Of one class of each prior, so near as rounding allows."""
    head = make_head(name, score_thr=threshold, nms_pre=100000, min_bbox_size=-1)
    logits, offsets = make_maps(head, shift=-30.0, spread=0)
    within = min(max(threshold, 1e-6), 1 - 1e-6)
    above = total = 0
    for count, level in zip(head.prior_generator.num_base_priors, logits, strict=True):
        one = level.unflatten(1, (count, -1))[:, :, 1]
        side = torch.randn(one.shape, generator=torch.Generator().manual_seed(0)).sign()
        one[:] = math.log(within / (1 - within)) + side * 1e-4
        above, total = above + int((side > 0).sum()), total + side.numel()
    own, fast = both(head, (logits, offsets), with_nms=False)
    expected = {0.0: total * CLASSES, 1.0: 0}.get(threshold, above)
    assert len(own[0]) == len(fast[0]) == expected
    for values in ('labels', 'scores'):
        ordered = [result[0][values].sort()[0] for result in (own, fast)]
        torch.testing.assert_close(*ordered, rtol=0, atol=1e-6)


@BOTH_WAYS
def test_priors_follow_the_sizes_of_the_maps():
    head = make_head('fcos')
    fast = copy.copy(head)
    speed_up_dense(fast)
    for sizes in (SIZES, [size[::-1] for size in SIZES], SIZES):
        maps, metas = make_maps(head, sizes=sizes), make_metas(1)
        expected = head.predict_by_feat(*maps, batch_img_metas=metas)
        assert_same(expected, fast.predict_by_feat(*maps, batch_img_metas=metas))


@pytest.mark.parametrize(
    'changed',
    [
        {'nms': {'type': 'soft_nms', 'iou_threshold': 0.5}},
        {'nms': {'type': 'nms', 'iou_threshold': 0.5, 'class_agnostic': True}},
        {'min_bbox_size': 15},
        {'max_per_img': 2},
    ],
)
@pytest.mark.parametrize('name', ['ssd_sigmoid', 'atss', 'refinedet'])
def test_other_suppressions(name, changed):
    head = make_head(name, **changed)
    assert_same(*both(head, make_maps(head, 3)))


def test_heads_that_predict_otherwise_stay_as_they_are():
    head = make_head('retina', nms_pre=-1)
    speed_up_dense(head)
    assert 'predict_by_feat' not in vars(head)
    common = {
        'num_classes': CLASSES,
        'in_channels': 8,
        'test_cfg': ConfigDict(TEST_CFG),
    }
    yolox = MODELS.build({'type': 'YOLOXHead', 'strides': STRIDES, **common})
    speed_up_dense(yolox)
    speed_up_suppression(yolox)
    assert not {'predict_by_feat', '_bbox_post_process'} & set(vars(yolox))


@pytest.mark.parametrize('most', [1, 7, 40, 5000])
def test_best_kept_are_the_first_of_the_whole_suppression(most):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(3000, 2, generator=generator) * 60
    boxes = torch.cat((corners, corners + 30), dim=1)
    scores = torch.rand(3000, generator=generator)
    labels = torch.randint(0, 2, (3000,), generator=generator)
    cfg = {'type': 'nms', 'iou_threshold': 0.3}
    expected = batched_nms(boxes, scores, labels, cfg)[1]
    assert len(expected) > 7
    found = best_kept(boxes, scores, labels, 0.3, most)
    assert torch.equal(found, expected[:most])


DETECTOR = """
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 64), keep_ratio=False),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
model = dict(test_cfg=dict(score_thr=0.3))
"""
RESNET18 = """
model.update(
    backbone=dict(depth=18),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=32),
    bbox_head=dict(in_channels=32, feat_channels=64, stacked_convs=1))
"""


def make_lively(model, data):
    """Norms know what they get; scores and boxes differ from place to place."""
    generator = torch.Generator().manual_seed(0)
    for path, layer in model.named_modules():
        if isinstance(layer, _BatchNorm):
            layer.momentum = 1.0
        varied = any(name in path for name in ('cls', 'obj', 'rtm_reg'))
        if varied and isinstance(layer, nn.Conv2d):
            std = 0.5 / layer.weight[0].numel() ** 0.5
            layer.weight.data.normal_(0, std, generator=generator)
            layer.bias = None if layer.bias is None else nn.Parameter(layer.bias * 0)
    inputs = model.data_preprocessor(copy.deepcopy(data))['inputs']
    noise = torch.randn(6, 3, 128, 192, generator=generator) * inputs.std()
    with torch.no_grad():
        model.train()(inputs.repeat(3, 1, 2, 2) + noise, mode='tensor')
    model.eval()


@pytest.mark.parametrize(
    ('base', 'changes', 'replaced'),
    [
        ('yolox/yolox_tiny_8xb8-300e_coco.py', '', False),
        ('rtmdet/rtmdet_tiny_8xb32-300e_coco.py', '', True),
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', RESNET18, True),
    ],
)
def test_optimised_stock_detectors_detect_the_same(base, changes, replaced):
    text = f"_base_ = ['mmdet::{base}']\n{DETECTOR}{changes}"
    model = build_detector(Config.fromstring(text, '.py'), device='cpu')
    data = make_batch(model.cfg, batch=2)
    make_lively(model, data)
    fast = optimize(model, 'torch')
    assert ('predict_by_feat' in vars(fast.bbox_head)) == replaced
    with torch.no_grad():
        own, found = model.test_step(copy.deepcopy(data)), fast.test_step(data)
    assert min(len(sample.pred_instances) for sample in own) > 3
    for expected, sample in zip(own, found, strict=True):
        assert torch.equal(sample.pred_instances.labels, expected.pred_instances.labels)
        difference = sample.pred_instances.bboxes - expected.pred_instances.bboxes
        assert difference.abs().max() < 1e-2


@pytest.mark.parametrize('clip', [True, False])
@pytest.mark.parametrize('means', [[0.0] * 4, [0.1, 0.0, -0.2, 0.3]])
def test_boxes_are_decoded_to_the_bit(clip, means):
    coder = {'type': 'DeltaXYWHBBoxCoder', 'target_stds': [0.1, 0.1, 0.2, 0.2]}
    coder |= {'target_means': means, 'clip_border': clip}
    head = nn.Module()
    head.bbox_coder = TASK_UTILS.build(coder)
    generator = torch.Generator().manual_seed(0)
    low = 80 * torch.rand((500, 2), generator=generator)
    priors = torch.cat([low, low + 40 * torch.rand((500, 2), generator=generator)], 1)
    offsets = 20 * torch.randn((500, 4), generator=generator)  # sides beyond the limit
    expected = head.bbox_coder.decode(priors, offsets, max_shape=(90, 100))
    speed_up_coder(head)
    assert isinstance(head.bbox_coder, QuickCoder)
    found = head.bbox_coder.decode(priors, offsets, max_shape=(90, 100))
    assert torch.equal(found, expected)
    none = head.bbox_coder.decode(priors[:0], offsets[:0], max_shape=(90, 100))
    assert none.shape == (0, 4)
    many = head.bbox_coder.decode(priors, offsets.repeat(1, 3), max_shape=(90, 100))
    assert torch.equal(many[:, 4:8], expected)
