import pytest
import torch
from mmcv import ops
from torchvision.ops import box_iou

import ops_reference as reference
from op_cases import random_boxes


def two_sets():
    generator = torch.Generator().manual_seed(0)
    return random_boxes(9, 50, generator)[0], random_boxes(9, 50, generator)[0]


def test_overlaps_equal_torchvision():
    first, second = two_sets()
    torch.testing.assert_close(
        ops.bbox_overlaps(first, second[:4]), box_iou(first, second[:4])
    )


@pytest.mark.parametrize('offset', [0, 1])
def test_aligned_overlaps_compare_row_by_row(offset):
    first, second = two_sets()
    rows = zip(first.tolist(), second.tolist(), strict=True)
    expected = torch.tensor([reference.iou(a, b, offset) for a, b in rows])
    found = ops.bbox_overlaps(first, second, aligned=True, offset=offset)
    torch.testing.assert_close(found, expected)


def test_intersection_over_foreground_divides_by_the_first_box():
    first, second = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[0.0, 0, 2, 8]])
    found = ops.bbox_overlaps(first, second, mode='iof')
    assert found.tolist() == [[0.5]]
