"""The fidelity pages say what was measured."""

import pytest
import torch

from mmeff.fidelity.check import Result, agrees
from mmeff.fidelity.page import fidelity_page, published, speed_page
from mmeff.fidelity.row import Reference, Row
from mmeff.fidelity.speed import Speed

ROW = Row(
    'Net 1.0',
    {},
    5_182_508,
    '141.2M',
    published=('5.2M', '141M'),
    reference=Reference('timm', 'net_100', dict(width=2)),
    note='a note',
)


@pytest.mark.parametrize(
    ('count', 'printed', 'expected'),
    [
        (141_249_999, '141.2M', True),
        (141_250_001, '141.2M', False),
        (141_149_999, '141.2M', False),
        (2_176_695_296, '2.1767G', True),
        (42, '0.04K', True),
    ],
)
def test_a_count_agrees_when_it_rounds_to_what_is_printed(count, printed, expected):
    assert agrees(count, printed) is expected


def test_difference_from_the_published_number_is_in_percent():
    assert published('5.2M', 5_148_000) == '5.2M (-1.0 %)'
    assert published('0.39B', 397_800_000) == '0.39B (+2.0 %)'
    assert published(None, 1) == '-'


def test_page_has_a_line_for_each_network_and_numbered_notes():
    measured = {torch.float32: 3e-6, torch.float64: 0.0}
    lonely = Row('Net 2.0', {}, 7, '1M', size=32, note='a note')
    page = fidelity_page(
        {'Net': [Result(ROW, 5_182_508, 1, measured), Result(lonely, 7, 1, None)]}
    )
    lines = page.splitlines()
    assert (
        '| Net 1.0 [1] | 5,182,508 | 5.2M (-0.3 %) | 141.2M | 141M (-100.0 %) | 3e-06 '
        '| 0 | timm net_100 (width=2) |'
    ) in lines
    assert '| Net 2.0 (32 px) [1] | 7 | - | 1M | - | - | - | - |' in lines
    assert lines[-1] == '1. a note'


def test_speed_page_has_ratios_with_their_quartiles():
    speeds = [
        Speed(ROW, 'eager', 'inference', 12.34, (0.9, 1.0, 1.1)),
        Speed(ROW, 'eager', 'training', 50.0, (2.0, 2.0, 2.0)),
    ]
    page = speed_page(speeds, 'a machine')
    assert 'Median over 3\npairs' in page
    assert 'a machine' in page
    assert '| eager, inference | eager, training |' in page
    assert '| 12.3 | 1.00 (0.95 to 1.05) | 2.00 (2.00 to 2.00) |' in page
