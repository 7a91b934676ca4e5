"""Two runs agree when they find the same boxes; rounding at a threshold is told apart."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmeff.deploy.agreement import Cuts, compare, cuts_of

CUTS = Cuts(score_thr=0.05, iou_threshold=0.5, max_per_img=4)
BOXES = [[10, 10, 50, 50], [60, 10, 90, 40], [10, 60, 40, 90]]
SCORES = [0.9, 0.8, 0.7]


def sample(boxes=BOXES, scores=SCORES, labels=None, masks=None) -> DetDataSample:
    instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores, dtype=torch.float32),
        labels=torch.tensor(labels or [0] * len(scores), dtype=torch.long),
    )
    if masks is not None:
        instances.masks = torch.tensor(masks).bool()
    return DetDataSample(pred_instances=instances)


def agreement(one: DetDataSample, other: DetDataSample, precision='fp32'):
    return compare([one], [other], CUTS, precision)


def test_equal_runs_agree_in_any_order():
    found = agreement(sample(), sample(BOXES[::-1], SCORES[::-1]))
    assert (found.images, found.boxes, found.unmatched, found.borderline) == (
        1,
        3,
        0,
        0,
    )
    assert found.max_box_px == found.max_score == 0
    assert found.agrees()


def test_nothing_found_twice_is_agreement():
    assert agreement(sample([], []), sample([], [])).agrees()


@pytest.mark.parametrize(('shift', 'same'), [(0.0009, True), (0.002, False)])
def test_a_coordinate_may_differ_by_a_thousandth_of_a_pixel(shift, same):
    moved = [[10 + shift, *BOXES[0][1:]], *BOXES[1:]]
    found = agreement(sample(moved), sample())
    assert found.max_box_px == pytest.approx(shift, rel=0.1)
    assert found.boxes == 3
    assert found.agrees() is same


@pytest.mark.parametrize(('shift', 'same'), [(0.00009, True), (0.0002, False)])
def test_a_score_may_differ_by_a_ten_thousandth(shift, same):
    found = agreement(sample(scores=[0.9 + shift, 0.8, 0.7]), sample())
    assert found.max_score == pytest.approx(shift, rel=0.1)
    assert found.agrees() is same


def test_images_of_all_runs_are_summed():
    found = compare([sample(), sample()], [sample(), sample(BOXES[:2], SCORES[:2])])
    assert (found.images, found.boxes, found.unmatched) == (2, 5, 1)
    with pytest.raises(ValueError, match='argument 2'):
        compare([sample()], [sample(), sample()])


def test_missing_box_moved_box_and_other_label_are_no_agreement():
    for other in (
        sample(BOXES[:2], SCORES[:2]),
        sample([*BOXES[:2], [110, 60, 140, 90]]),
        sample(labels=[0, 0, 1]),
    ):
        for found in (agreement(sample(), other), agreement(other, sample())):
            assert found.unmatched > 0
            assert not found.agrees()


def test_as_many_boxes_as_possible_are_paired():
    """The first box of one run is nearest to a box that the second needs."""
    row = [[0, 0, 9, 9], [0.4, 0, 9, 9]], [[0.4, 0, 9, 9], [1.2, 0, 9, 9]]
    found = agreement(sample(row[0], [0.9, 0.9]), sample(row[1], [0.9, 0.9]))
    assert found.boxes == 2
    assert found.max_box_px == pytest.approx(0.8)


def test_box_at_the_score_threshold_is_borderline():
    low = sample([*BOXES, [100, 100, 120, 120]], [*SCORES, 0.05005])
    for found in (agreement(low, sample()), agreement(sample(), low)):
        assert (found.unmatched, found.borderline) == (0, 1)
        assert found.agrees()


def test_box_at_the_limit_of_boxes_is_borderline():
    """Both runs are full, and a lower box was the last one of each."""
    last = [[100, 100, 120, 120]], [[130, 100, 150, 120]]
    full = [sample([*BOXES, *box], [*SCORES, 0.3]) for box in last]
    found = agreement(*full)
    assert (found.unmatched, found.borderline) == (0, 2)
    higher = sample([*BOXES, *last[1]], [*SCORES, 0.4])
    found = agreement(full[0], higher)
    assert (found.unmatched, found.borderline) == (1, 1)


def test_overlap_at_the_nms_threshold_is_borderline():
    # IoU with the first box: 40 x 30 over 40 x 60 is 0.5
    beside = [10, 20, 50, 60]
    kept = sample([*BOXES, [*beside[:3], 60.0]], [*SCORES, 0.6])
    assert agreement(kept, sample()).unmatched == 1  # IoU is 0.6: NMS left a box over
    apart = sample([*BOXES, [10, 10, 30.001, 50]], [*SCORES, 0.6])  # IoU 0.50003
    assert agreement(apart, sample()).borderline == 1


def test_equal_scores_change_places_in_nms_and_what_follows_is_borderline():
    """One run keeps a box, the other its twin, and with it another neighbour."""
    twins = [[10, 10, 50, 50], [18, 10, 58, 50]]  # IoU 0.67
    neighbour = [26, 10, 66, 50]  # IoU with the second 0.67, with the first 0.43
    one = sample([twins[0], neighbour], [0.9, 0.5])
    other = sample([twins[1]], [0.90001])
    found = agreement(one, other)
    assert (found.boxes, found.unmatched, found.borderline) == (0, 0, 3)
    clear = sample([twins[1]], [0.95])
    assert agreement(one, clear).unmatched == 3


def test_masks_are_compared_by_their_pixels():
    masks = torch.zeros(3, 100, 100)
    masks[:, 10:60, 10:60] = 1
    changed = masks.clone()
    changed[0, 60, 10] = 1
    run, other = (sample(masks=m.tolist()) for m in (changed, masks))
    found = agreement(run, other)
    assert found.mask_share == pytest.approx(1 / 7501)
    assert found.agrees()
    changed[1, 10:60, 60] = 1
    assert not agreement(sample(masks=changed.tolist()), other).agrees()
    assert agreement(sample(), sample()).mask_share is None


def test_half_precision_is_checked_for_gross_mistakes_only():
    moved = sample([[14, 10, 50, 50], *BOXES[1:]], [0.88, 0.8, 0.7])
    found = agreement(moved, sample(), 'bf16')
    assert found.max_box_px == 4
    assert found.agrees('bf16')
    assert not found.agrees()
    assert not agreement(sample(labels=[1, 1, 1]), sample(), 'bf16').agrees('bf16')
    scores = agreement(sample(scores=[0.7, 0.5, 0.4]), sample(), 'bf16')
    assert (scores.boxes, scores.unmatched) == (0, 6)
    assert not scores.agrees('bf16')


def test_thresholds_are_those_of_the_last_stage():
    nms = dict(type='nms', iou_threshold=0.45)
    one_stage = dict(score_thr=0.02, nms=nms, max_per_img=200)
    assert cuts_of(Config(dict(model=dict(test_cfg=one_stage)))) == Cuts(
        0.02, 0.45, 200
    )
    two_stage = dict(rpn=dict(max_per_img=9), rcnn=dict(one_stage, max_per_img=-1))
    assert cuts_of(Config(dict(model=dict(test_cfg=two_stage)))) == Cuts(0.02, 0.45)
    assert cuts_of(Config(dict(model=dict()))) == Cuts()
