"""Every network: counts as published, outputs as in an independent library."""

import math

import pytest
import torch

from mmeff.apis.verify import TOLERANCE, is_exact
from mmeff.fidelity import FAMILIES, TIMED
from mmeff.fidelity.check import Result, check, compare, count, pair
from mmeff.fidelity.row import Row

ROWS = [row for rows in FAMILIES.values() for row in rows]
REFERENCED = [row for row in ROWS if row.reference is not None]


def by_name(rows: list[Row]):
    return pytest.mark.parametrize('row', rows, ids=[row.name for row in rows])


@by_name(ROWS)
def test_counts_are_the_published_ones(row):
    result = Result(row, *count(row), None)
    assert result.params == row.params
    assert result.counts_agree, f'{result.macs} MACs, expected {row.macs}'


@by_name(REFERENCED)
def test_outputs_equal_an_independent_implementation(row):
    pytest.importorskip(row.reference.library)
    ours, theirs = pair(row)
    assert compare(ours, theirs, torch.float64) <= TOLERANCE[torch.float64]


def test_single_precision_is_within_tolerance_too():
    result = check(FAMILIES['MobileNetV2'][0])
    assert set(result.difference) == set(TOLERANCE)
    assert is_exact(result)


def test_a_wrong_network_is_noticed():
    row = FAMILIES['MobileNetV2'][0]
    ours, theirs = pair(row)
    with torch.no_grad():
        ours.stages[1][1].project.norm.bias[0] += 1e-3
    assert compare(ours, theirs, torch.float64) > 1e-7
    with torch.no_grad():
        ours.stages[1][1].project.norm.bias[0] = torch.nan
    assert math.isnan(compare(ours, theirs, torch.float64))
    assert not is_exact(Result(row, row.params + 1, 59_285_808, None))
    assert not is_exact(Result(row, row.params, 59_385_808, None))


def test_names_are_unique_and_one_network_a_family_is_timed():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert set(TIMED) <= {row.name for row in REFERENCED}
