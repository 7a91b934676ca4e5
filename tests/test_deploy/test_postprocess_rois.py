"""Proposals, RoI features, boxes and masks are those of mmdet's own code."""

import copy

import pytest
import torch
from mmcv.ops import RoIAlign
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.config import ConfigDict
from torch import nn
from two_stage_detectors import two_stage_detector

from mmeff.deploy.postprocess import masks, roi_align, rpn
from mmeff.deploy.postprocess.rois import speed_up_rois
from mmeff.profiling.inputs import make_batch

KINDS = ['faster_rcnn', 'mask_rcnn', 'cascade_rcnn', 'c4']


@pytest.fixture(scope='module', params=KINDS)
def model(request) -> nn.Module:
    return two_stage_detector(request.param)


def sped_up(model: nn.Module) -> nn.Module:
    fast = copy.deepcopy(model)
    speed_up_rois(fast)
    return fast


def batch(model: nn.Module, number: int) -> dict:
    """Images that were resized to 128 x 160 from 1.6 times as many rows, and columns."""
    data = make_batch(model.cfg, (128, 160), batch=number)
    for sample in data['data_samples']:
        sample.set_metainfo(dict(ori_shape=(205, 256), scale_factor=(0.625, 0.625)))
    return data


def check(fast: nn.Module, model: nn.Module, data: dict) -> int:
    """Compare on a batch; returns how many boxes there are."""
    with torch.no_grad():
        expected = model.test_step(copy.deepcopy(data))
        found = fast.test_step(copy.deepcopy(data))
    for one, other in zip(found, expected, strict=True):
        one, other = one.pred_instances, other.pred_instances
        assert one.keys() == other.keys()
        assert torch.equal(one.labels, other.labels)
        torch.testing.assert_close(one.bboxes, other.bboxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-5)
        if 'masks' in other:
            assert one.masks.shape == other.masks.shape == (len(other), 205, 256)
            assert one.masks.dtype == other.masks.dtype
            differ = int((one.masks != other.masks).sum())  # at the threshold itself
            assert differ <= 1e-5 * one.masks.numel()
    return sum(len(sample.pred_instances) for sample in expected)


@pytest.mark.parametrize('number', [1, 2])
def test_detections_are_those_of_mmdet(model, number):
    assert check(sped_up(model), model, batch(model, number)) > 5 * number


@pytest.mark.parametrize('nothing', ['proposals', 'detections'])
def test_nothing_is_found_as_in_mmdet(model, nothing):
    model = copy.deepcopy(model)
    if nothing == 'proposals':
        model.rpn_head.test_cfg.min_bbox_size = 1000
    else:
        model.roi_head.test_cfg.score_thr = 0.9999
    assert check(sped_up(model), model, batch(model, 2)) == 0


def test_each_piece_is_replaced_in_this_detector_only(model):
    fast = sped_up(model)
    extractors = [m for m in fast.modules() if isinstance(m, SingleRoIExtractor)]
    assert extractors
    assert all(m.forward.__func__ is roi_align.extract for m in extractors)
    assert fast.rpn_head.predict_by_feat.__func__ is rpn.predict_by_feat
    for module in model.modules():
        assert not {'forward', 'predict_by_feat', 'predict'} & vars(module).keys()


def test_copy_of_a_faster_detector_uses_its_own_modules():
    again = copy.deepcopy(sped_up(two_stage_detector('mask_rcnn')))
    assert again.rpn_head.predict_by_feat.__self__ is again.rpn_head
    head = again.roi_head.bbox_head
    assert head._predict_by_feat_single.__self__ is head


def test_heads_keep_methods_of_their_own():
    model = two_stage_detector('mask_rcnn')

    class MyRPN(RPNHead):
        def _predict_by_feat_single(self, *args, **kwargs):
            return super()._predict_by_feat_single(*args, **kwargs)[:3]

    class MyMaskHead(FCNMaskHead):
        def _predict_by_feat_single(self, *args, **kwargs):
            return ~super()._predict_by_feat_single(*args, **kwargs)

    model.rpn_head.__class__ = MyRPN
    model.roi_head.mask_head.__class__ = MyMaskHead
    model.roi_head.test_cfg.score_thr = 0.0
    fast = sped_up(model)
    assert 'predict_by_feat' not in vars(fast.rpn_head)
    assert '_predict_by_feat_single' not in vars(fast.roi_head.mask_head)
    assert check(fast, model, batch(model, 1)) > 0


RPN_CASES = {
    'plain': {},
    'all anchors': dict(nms_pre=100_000),
    'large boxes': dict(min_bbox_size=40),
    'soft suppression': dict(nms=dict(type='soft_nms', iou_threshold=0.5)),
    'no suppression': dict(nms=None),
    'few': dict(max_per_img=7),
}


def rpn_outputs() -> tuple[nn.Module, list, list, dict]:
    """A head, logits and deltas of two images without equal logits, and arguments."""
    head = two_stage_detector('faster_rcnn').rpn_head
    generator = torch.Generator().manual_seed(1)
    sizes = [(16, 20), (8, 10), (4, 5), (2, 3), (1, 2)]
    number = sum(2 * 6 * height * width for height, width in sizes)
    logits = torch.randperm(number, generator=generator) / 1024 - 8
    logits = logits.split([12 * height * width for height, width in sizes])
    logits = [x.view(2, 6, *size) for x, size in zip(logits, sizes, strict=True)]
    logits[0] = logits[0].contiguous(memory_format=torch.channels_last)
    deltas = [torch.randn(2, 24, *size, generator=generator) for size in sizes]
    metas = [dict(img_shape=(60, 80), scale_factor=(0.5, 0.8))] * 2
    return head, logits, deltas, dict(batch_img_metas=metas, rescale=True)


@pytest.mark.parametrize('case', RPN_CASES)
def test_proposals_are_those_of_mmdet(case):
    head, logits, deltas, arguments = rpn_outputs()
    cfg = ConfigDict({**head.test_cfg, 'nms_pre': 400, **RPN_CASES[case]})
    expected = head.predict_by_feat(logits, deltas, cfg=cfg, **arguments)
    found = rpn.predict_by_feat(head, logits, deltas, cfg=cfg, **arguments)
    for one, other in zip(found, expected, strict=True):
        assert len(other) > 5
        assert torch.equal(one.bboxes, other.bboxes)
        assert torch.equal(one.labels, other.labels)
        # vectorised sigmoids differ in the last bit by where in memory a logit lies
        torch.testing.assert_close(one.scores, other.scores, rtol=1e-6, atol=0)


def test_proposals_of_equal_scores_are_ordered_by_logits():
    head, logits, deltas, arguments = rpn_outputs()
    certain = [level + 32 for level in logits]  # a sigmoid of 1
    for one, other in zip(
        rpn.predict_by_feat(head, certain, deltas, **arguments),
        rpn.predict_by_feat(head, logits, deltas, **arguments),
        strict=True,
    ):
        assert (one.scores == 1).all()
        assert torch.equal(one.bboxes, other.bboxes)


def extractor(size, aligned: bool, **more) -> SingleRoIExtractor:
    layer = dict(type='RoIAlign', output_size=size, sampling_ratio=0, aligned=aligned)
    layer = {**layer, **more}
    return SingleRoIExtractor(layer, 16, featmap_strides=[4, 8, 16, 32])


def many_rois() -> torch.Tensor:
    """Of 2 images of 128 x 160: common ones, and some that are hard."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(150, 2, 2, generator=generator) * torch.tensor([160.0, 128.0])
    corners = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
    hard = [
        [0, 0, 160, 128],  # all of the image
        [30, 40, 30, 90],  # no width
        [30, 40, 30, 40],  # a point
        [0, 60, 160, 61],  # a line
        [28, 28, 56, 56],  # corners and samples on whole pixels
        [-90, -70, 20, 30],  # partly outside
        [150, 120, 260, 300],
        [400, 400, 460, 460],  # far outside
    ]
    corners = torch.cat([corners, torch.tensor(hard, dtype=torch.float32)])
    return torch.cat([torch.arange(len(corners))[:, None] % 2, corners], dim=1)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('size', [7, (3, 5)])
@pytest.mark.parametrize('levels', [1, 4])
def test_roi_features_are_those_of_roi_align(levels, size, aligned):
    module, rois = extractor(size, aligned), many_rois()
    generator = torch.Generator().manual_seed(0)
    feats = [
        torch.randn(2, 16, 128 // s, 160 // s, generator=generator)
        for s in (4, 8, 16, 32)
    ][:levels]
    assert roi_align.can_extract(module)
    expected = module(feats, rois)
    for layout in (torch.contiguous_format, torch.channels_last):
        maps = [feat.contiguous(memory_format=layout) for feat in feats]
        found = roi_align.extract(module, maps, rois)
        torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)
        assert roi_align.extract(module, maps, rois[:0]).shape == expected[:0].shape


def test_roi_features_of_other_types_are_mmdets():
    module, rois = extractor(7, True), many_rois()
    feats = [torch.randn(2, 16, 128 // s, 160 // s).double() for s in (4, 8, 16, 32)]
    assert torch.equal(roi_align.extract(module, feats, rois), module(feats, rois))
    feats = [feat.float() for feat in feats]
    assert torch.equal(
        roi_align.extract(module, feats, rois, 1.5), module(feats, rois, 1.5)
    )


@pytest.mark.parametrize('more', [dict(sampling_ratio=2), dict(pool_mode='max')])
def test_other_roi_layers_are_left_alone(more):
    assert isinstance(extractor(7, True, **more).roi_layers[0], RoIAlign)
    assert not roi_align.can_extract(extractor(7, True, **more))


@pytest.mark.parametrize('agnostic', [False, True], ids=['', 'agnostic'])
@pytest.mark.parametrize('rescale', [True, False])
@pytest.mark.parametrize('activated', [True, False])
@pytest.mark.parametrize('threshold', [0.5, 0.2, -1])
def test_masks_are_equal_to_the_pixel(agnostic, rescale, activated, threshold):
    head = FCNMaskHead(num_convs=0, num_classes=4, class_agnostic=agnostic)
    generator = torch.Generator().manual_seed(0)
    boxes = many_rois()[:, 1:]
    boxes = boxes[:152].clamp(min=0)  # as heads clip them; a zero width is among them
    coarse = torch.randn(len(boxes), 1 if agnostic else 4, 9, 9, generator=generator)
    logits = nn.functional.interpolate(coarse * 4, size=28, mode='bilinear')
    labels = torch.arange(len(boxes)) % 4
    arguments = (
        logits.sigmoid() if activated else logits,
        labels,
        dict(ori_shape=(205, 256), scale_factor=(0.625, 0.625)),
        ConfigDict(mask_thr_binary=threshold),
        rescale,
        activated,
    )
    results = []
    for module in (head, copy.copy(head)):
        own = boxes.clone()
        if module is head:
            paste = head._predict_by_feat_single
        else:
            paste = masks.predict_by_feat_single.__get__(module)
        results.append((paste(arguments[0], own, *arguments[1:]), own))
    (expected, moved), (found, also_moved) = results
    assert expected.shape == found.shape
    assert expected.dtype == found.dtype
    assert 0.01 < (expected > 0).float().mean() < 0.9
    assert int((found != expected).sum()) == 0
    assert torch.equal(moved, also_moved)
