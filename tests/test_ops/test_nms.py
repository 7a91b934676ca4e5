import numpy as np
import pytest
import torch
from mmcv import ops
from torchvision.ops import batched_nms as torchvision_batched_nms

import ops_reference as reference
from op_cases import random_boxes

SIZES = (0, 1, 7, 60)


def boxes_and_scores(num, seed=0):
    return random_boxes(num, 100.0, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('num', SIZES)
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('iou_threshold', [0.1, 0.5, 0.7])
def test_nms_keeps_what_the_definition_keeps(num, offset, iou_threshold):
    boxes, scores = boxes_and_scores(num)
    dets, keep = ops.nms(boxes, scores, iou_threshold, offset=offset)
    assert keep.tolist() == reference.nms(boxes, scores, iou_threshold, offset)
    assert torch.equal(dets, torch.cat((boxes, scores[:, None]), 1)[keep])


def test_nms_offset_one_merges_boxes_that_only_touch():
    boxes = torch.tensor([[0.0, 0, 0, 9], [0, 0, 1, 9]])  # without area in offset 0
    scores = torch.tensor([0.9, 0.8])
    assert len(ops.nms(boxes, scores, 0.4, offset=0)[1]) == 2
    assert len(ops.nms(boxes, scores, 0.4, offset=1)[1]) == 1


def test_nms_rounds_the_threshold_to_float32():
    # IoU is 0.1 in float32, which is above 0.1 in float64 but not above itself
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 1]])
    assert len(ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.1)[1]) == 2


def test_nms_orders_equal_scores_as_torch_sort_does():
    boxes = torch.arange(40.0)[:, None] * 10 + torch.tensor([0.0, 0, 5, 5])
    scores = torch.arange(40) // 10 / 4.0
    assert torch.equal(ops.nms(boxes, scores, 0.5)[1], scores.sort(0, True)[1])


def test_nms_takes_and_returns_numpy():
    boxes, scores = boxes_and_scores(30)
    dets, keep = ops.nms(boxes.numpy(), scores.numpy(), 0.5)
    assert isinstance(dets, np.ndarray)
    assert keep.tolist() == reference.nms(boxes, scores, 0.5)


def test_nms_score_threshold_and_max_num():
    boxes, scores = boxes_and_scores(40)
    expected = [i for i in reference.nms(boxes, scores, 0.5) if scores[i] > 0.3][:4]
    keep = ops.nms(boxes, scores, 0.5, score_threshold=0.3, max_num=4)[1]
    assert keep.tolist() == expected


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_nms_takes_other_float_types(dtype):
    boxes, scores = boxes_and_scores(40)
    boxes, scores = boxes.to(dtype), scores.to(dtype)
    dets, keep = ops.nms(boxes, scores, 0.5)
    assert dets.dtype == dtype
    expected = ops.nms(boxes.float(), scores.float(), 0.5)[1]
    assert torch.equal(keep, expected)


def test_batched_nms_equals_torchvision():
    boxes, scores = boxes_and_scores(200)
    classes = torch.randint(5, (200,), generator=torch.Generator().manual_seed(1))
    keep = ops.batched_nms(
        boxes, scores, classes, {'type': 'nms', 'iou_threshold': 0.5}
    )
    expected = torchvision_batched_nms(boxes, scores, classes, 0.5)
    assert torch.equal(keep[1], expected)


@pytest.mark.parametrize('num', [1, 7, 60])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('min_score', [0.001, 0.3])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms_follows_the_definition(num, offset, min_score, method):
    boxes, scores = boxes_and_scores(num)
    scores = scores + 0.01
    settings = (0.3, 0.5, min_score, method, offset)
    dets, keep = ops.soft_nms(boxes, scores, *settings)
    expected, expected_scores = reference.soft_nms(boxes, scores, *settings)
    assert keep.tolist() == expected
    assert torch.equal(dets[:, :4], boxes[keep])
    torch.testing.assert_close(dets[:, 4], torch.tensor(expected_scores))


def test_soft_nms_row_by_row_equals_the_precomputed_matrix(monkeypatch):
    boxes, scores = boxes_and_scores(50)
    expected = ops.soft_nms(boxes, scores)
    monkeypatch.setattr('mmeff.ops.nms.MATRIX_BOXES', 10)
    for found, wanted in zip(ops.soft_nms(boxes, scores), expected, strict=True):
        assert torch.equal(found, wanted)


def test_soft_nms_without_minimum_keeps_every_box_even_at_score_zero():
    boxes = torch.tensor([[0.0, 0, 10, 10]] * 3 + [[50, 50, 60, 60]])
    dets, keep = ops.soft_nms(
        boxes, torch.tensor([0.5, 0.9, 0.7, 0.6]), min_score=0.0, method='naive'
    )
    assert keep.tolist() == [1, 3, 0, 2]
    torch.testing.assert_close(dets[:, 4], torch.tensor([0.9, 0.6, 0.0, 0.0]))


def test_soft_nms_keeps_the_best_box_below_the_minimum():
    boxes, scores = boxes_and_scores(5)
    dets, keep = ops.soft_nms(boxes, scores * 1e-6, min_score=0.5)
    assert keep.tolist() == [int(scores.argmax())]
    assert len(dets) == 1


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms_leaves_boxes_without_area_finite(method):
    boxes = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]])
    dets, keep = ops.soft_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), method=method)
    assert keep.tolist() == [0, 1, 2]
    assert torch.isfinite(dets).all()


def test_soft_nms_of_no_boxes_is_empty():
    dets, keep = ops.soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5)
    assert keep.shape == (0,)


def test_soft_nms_takes_boxes_that_require_grad_and_bfloat16():
    boxes, scores = boxes_and_scores(20)
    expected = ops.soft_nms(boxes, scores)[1]
    assert torch.equal(ops.soft_nms(boxes.requires_grad_(), scores)[1], expected)
    dets, _ = ops.soft_nms(boxes.bfloat16(), scores.bfloat16())
    assert dets.dtype == torch.bfloat16


def test_batched_soft_nms_keeps_classes_apart():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    scores, classes = torch.tensor([0.9, 0.8]), torch.tensor([0, 1])
    nms_cfg = {'type': 'soft_nms', 'iou_threshold': 0.3, 'min_score': 0.05}
    dets, keep = ops.batched_nms(boxes, scores, classes, nms_cfg)
    assert keep.tolist() == [0, 1]
    torch.testing.assert_close(dets[:, 4], scores)


@pytest.mark.parametrize('num', SIZES)
@pytest.mark.parametrize('iou_threshold', [0.1, 0.5])
def test_nms_match_groups_follow_the_definition(num, iou_threshold):
    boxes, scores = boxes_and_scores(num)
    groups = ops.nms_match(torch.cat((boxes, scores[:, None]), 1), iou_threshold)
    expected = reference.nms_match(boxes, scores, iou_threshold)
    assert [group.tolist() for group in groups] == expected


def test_nms_match_joins_at_exactly_the_threshold_where_nms_does_not():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    scores = torch.tensor([0.9, 0.8])
    groups = ops.nms_match(torch.cat((boxes, scores[:, None]), 1), 0.5)
    assert [group.tolist() for group in groups] == [[0, 1]]
    assert ops.nms(boxes, scores, 0.5)[1].tolist() == [0, 1]
