"""Matching of priors with objects: small cases by hand, and one pair at a time."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmeff.models.task_modules import BipartiteIoUAssigner
from mmeff.models.task_modules.bipartite_assigner import match_bipartite


def assign(priors: list, boxes: list, labels: list, **kwargs):
    return BipartiteIoUAssigner(**kwargs).assign(
        InstanceData(priors=torch.tensor(priors, dtype=torch.float32)),
        InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor(labels, dtype=torch.long),
        ),
    )


def test_object_that_loses_its_best_prior_gets_the_next():
    """Both objects overlap the first prior most; mmdet's assigner forgets one."""
    priors = [[0, 0, 10, 10], [8, 0, 18, 10], [50, 50, 60, 60]]
    better, worse = [0, 0, 10, 10], [3, 0, 13, 10]  # IoU 1 and 7/13; then 5/15
    result = assign(priors, [worse, better], labels=[4, 7])
    assert result.gt_inds.tolist() == [2, 1, 0]
    assert result.labels.tolist() == [7, 4, -1]


def test_object_below_the_threshold_still_gets_its_best_prior():
    result = assign([[0, 0, 10, 10], [0, 0, 20, 20]], [[0, 0, 4, 4]], labels=[1])
    assert result.gt_inds.tolist() == [1, 0]
    assert result.max_overlaps.tolist() == pytest.approx([0.16, 0.04])


def test_priors_between_the_thresholds_are_ignored():
    priors = [[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [0, 0, 10, 2]]
    result = assign(
        priors, [[0, 0, 10, 10]], labels=[0], pos_iou_thr=0.7, neg_iou_thr=0.3
    )
    assert result.gt_inds.tolist() == [1, 1, -1, 0]  # IoU 1, .8, .5 and .2


def test_overlap_equal_to_the_threshold_is_a_match():
    priors = [[0, 0, 10, 10], [0, 0, 10, 5]]
    result = assign(priors, [[0, 0, 10, 10]], labels=[0])
    assert result.gt_inds.tolist() == [1, 1]


def test_object_outside_all_priors_is_not_matched():
    result = assign([[0, 0, 10, 10]], [[20, 20, 30, 30]], labels=[0])
    assert result.gt_inds.tolist() == [0]


def test_image_without_objects_is_background():
    result = assign([[0, 0, 10, 10], [5, 5, 9, 9]], [], labels=[])
    assert result.gt_inds.tolist() == [0, 0]
    assert result.labels.tolist() == [-1, -1]


@pytest.mark.parametrize('seed', range(20))
def test_rounds_take_the_same_pairs_as_one_after_the_other(seed):
    """More objects than priors in some cases, and many pairs that do not overlap."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = 1 + seed % 9, 1 + (seed * 7) % 23
    overlaps = torch.rand(rows, columns, generator=generator, dtype=torch.float64)
    overlaps *= torch.rand(rows, columns, generator=generator) < 0.6
    expected, rest = set(), overlaps.clone()
    while rest.max() > 1e-6:
        row, column = divmod(rest.argmax().item(), columns)
        expected.add((row, column))
        rest[row], rest[:, column] = 0, 0
    found = torch.stack(match_bipartite(overlaps), dim=1).tolist()
    assert {tuple(pair) for pair in found} == expected
    assert len(found) == len(expected)


def test_equal_overlaps_are_all_taken():
    rows, columns = match_bipartite(torch.full((3, 3), 0.5))
    assert sorted(rows.tolist()) == sorted(columns.tolist()) == [0, 1, 2]
