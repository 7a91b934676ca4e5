"""Candidates are chosen as by sorting each group by itself."""

import pytest
import torch

from mmeff.models.dense_heads.candidates import best_of_each


def one_by_one(scores, groups, most):
    chosen = []
    for group in range(int(groups.max()) + 1):
        index = (groups == group).nonzero()[:, 0]
        order = scores[index].sort(descending=True, stable=True)[1]
        chosen.append(index[order[:most]])
    return torch.cat(chosen)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('count', [1, 40, 3000, 40000])
@pytest.mark.parametrize('kinds', [1, 12])
def test_best_of_each_group_in_the_order_of_ties(dtype, count, kinds):
    generator = torch.Generator().manual_seed(count + kinds)
    scores = torch.rand(count, generator=generator).to(dtype)
    scores[::3] = 0.5  # ties
    scores[::7] = 0
    groups = torch.randint(0, kinds, (count,), generator=generator)
    for most in (1, 20, 1000):
        expected = one_by_one(scores, groups, most)
        assert torch.equal(best_of_each(scores, groups, most), expected)


def test_nothing_gives_nothing():
    empty = torch.zeros(0)
    assert len(best_of_each(empty, empty.long(), 5)) == 0
