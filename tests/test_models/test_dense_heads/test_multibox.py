"""What SSD's and RefineDet's heads share, worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from mmeff.models import RefineDetHead, SSDHead
from mmeff.models.dense_heads.multibox import flatten_levels, hardest, multibox_loss

CLASSES = 3
FORMS = {
    'convolution': dict(),
    'norm': dict(pred_norm_cfg=dict(type='BN'), l2_norm_scale=20),
    'depthwise and sigmoid': dict(use_depthwise=True, use_sigmoid=True),
}
PRIORS = dict(
    type='mmeff.PriorBoxGenerator',
    strides=[8, 16],
    min_sizes=[8, 16],
    max_sizes=None,
    ratios=[[2], [2]],
)


def ssd(**kwargs) -> SSDHead:
    head = SSDHead(CLASSES, (4, 6), PRIORS, **kwargs)
    head.init_weights()
    return head.eval()


def refinedet(**kwargs) -> RefineDetHead:
    head = RefineDetHead(CLASSES, (4, 4, 4, 4), 4, with_inter=False, **kwargs)
    head.init_weights()
    return head.eval()


def started(head: SSDHead | RefineDetHead) -> Tensor:
    """Class logits ``(N, CLASSES + 1)`` of every prior where features are zero."""
    if isinstance(head, SSDHead):
        maps, _ = head([torch.zeros(1, 4, 2, 2), torch.zeros(1, 6, 1, 1)])
    else:
        *_, maps, _ = head([torch.zeros(1, 4, s, s) for s in 2 * (8, 4, 2, 1)])
    return flatten_levels(maps, CLASSES + 1)[0].detach()


# --- the start from background ------------------------------------------------------


@pytest.mark.parametrize('build', [ssd, refinedet])
def test_softmax_starts_with_the_chance_shared_by_the_classes(build):
    """log(3 * .9 / .1) = log 27 for background gives 27 / (27 + 3) = .9."""
    logits = started(build(prior_prob=0.1))
    expected = torch.tensor([0, 0, 0, math.log(27)]).expand_as(logits)
    torch.testing.assert_close(logits, expected)
    scores = logits.softmax(-1)
    torch.testing.assert_close(
        scores, torch.tensor([1 / 30, 1 / 30, 1 / 30, 0.9]).expand_as(scores)
    )


def test_norm_in_place_of_biases_starts_with_the_chance():
    logits = started(ssd(prior_prob=0.2, **FORMS['norm']))
    # 3 * .8 / .2 = 12
    expected = torch.tensor([0, 0, 0, math.log(12)]).expand_as(logits)
    torch.testing.assert_close(logits, expected)


def test_sigmoid_starts_with_the_chance_for_every_class():
    logits = started(ssd(prior_prob=0.1, **FORMS['depthwise and sigmoid']))
    ninth = math.log(9)  # sigmoid(-log 9) = 1 / (1 + 9)
    expected = torch.tensor([-ninth, -ninth, -ninth, ninth]).expand_as(logits)
    torch.testing.assert_close(logits, expected)
    scores = logits.sigmoid()
    torch.testing.assert_close(
        scores, torch.tensor([0.1, 0.1, 0.1, 0.9]).expand_as(scores)
    )


@pytest.mark.parametrize('form', FORMS.values(), ids=FORMS)
def test_by_default_biases_start_at_zero(form):
    assert not started(ssd(**form)).any()
    assert not started(refinedet()).any()


@pytest.mark.parametrize('build', [ssd, refinedet])
def test_only_the_biases_of_class_scores_are_set(build):
    torch.manual_seed(0)
    plain = build().state_dict()
    torch.manual_seed(0)
    changed = build(prior_prob=0.1).state_dict()
    different = {key for key in plain if not torch.equal(plain[key], changed[key])}
    part = {ssd: 'cls_convs', refinedet: 'odm_cls'}[build]
    wanted = {key for key in plain if key.startswith(part) and key.endswith('bias')}
    assert different == wanted
    assert len(wanted) == {ssd: 2, refinedet: 4}[build]


@pytest.mark.parametrize('build', [ssd, refinedet])
@pytest.mark.parametrize('chance', [0, 1, 1.5, -0.1])
def test_chances_outside_of_0_to_1_are_refused(build, chance):
    message = rf'prior_prob={chance}: expected more than 0, less than 1'
    with pytest.raises(ValueError, match=message):
        build(prior_prob=chance)


# --- hard negatives and the loss ----------------------------------------------------


def test_hardest_takes_the_largest_of_the_candidates_of_each_row():
    losses = torch.tensor([[5.0, 1, 4, 3], [1, 2, 3, 4]])
    candidates = torch.tensor([[False, True, True, True], [True, True, False, False]])
    found = hardest(losses, candidates, torch.tensor([2, 5]))
    assert found.tolist() == [[False, False, True, True], [True, True, False, False]]
    assert not hardest(losses, candidates, torch.tensor([0, 0])).any()


def case() -> dict:
    """Two images: a positive, an ignored prior and three of background; none at all."""
    return dict(
        class_losses=torch.tensor([[1.0, 9, 2, 8, 4], [1, 2, 3, 4, 5]]),
        bbox_preds=torch.tensor([0.5, 3, 0, 0]).expand(2, 5, 4),
        labels=torch.tensor([[0, -1, 3, 3, 3], [3, 3, 3, 3, 3]]),
        offsets=torch.zeros(2, 5, 4),
        num_classes=3,
        neg_pos_ratio=2,
    )


@pytest.mark.parametrize(
    ('settings', 'loss_cls', 'loss_bbox'),
    [
        ({}, 1 + 8 + 4, 0.125 + 2.5),
        ({'min_negatives': 3}, 1 + 8 + 4 + 2 + 5 + 4 + 3, 0.125 + 2.5),
        ({'smoothl1_beta': 0.25}, 1 + 8 + 4, 0.375 + 2.875),
        ({'eligible': torch.tensor([[0, 0, 1, 0, 1]] * 2) > 0}, 1 + 4 + 2, 2.625),
    ],
    ids=['two for one match', 'three at least', 'beta', 'filtered'],
)
def test_loss_is_the_one_by_hand(settings, loss_cls, loss_bbox):
    found = multibox_loss(**case(), **settings)
    assert [value.item() for value in found] == pytest.approx([loss_cls, loss_bbox])
