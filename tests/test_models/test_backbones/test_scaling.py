"""Compound scaling grows a network by the work that it promises."""

import pytest
import torch

from mmeff.models.backbones.efficientnet import EfficientNet
from mmeff.models.backbones.scaling import (
    CompoundScaling,
    compound_scaling,
    round_filters,
    round_repeats,
)
from mmeff.profiling.counts import count_operations


def macs(side: int, **kwargs) -> int:
    with torch.device('meta'):
        model = EfficientNet('b0', num_classes=1000, **kwargs).eval()
        x = torch.empty(1, 3, side, side)
    return count_operations(lambda: model(x)).macs


def test_multipliers_are_powers_of_the_coefficients():
    assert compound_scaling(0) == CompoundScaling(1, 1, 1)
    assert compound_scaling(1) == CompoundScaling(1.2, 1.1, 1.15)
    assert compound_scaling(2, 1.5, 1.3, 1.0) == CompoundScaling(2.25, 1.3**2, 1.0)
    smaller = compound_scaling(-1)
    assert smaller.depth * 1.2 == pytest.approx(1)


def test_one_step_is_twice_the_work_and_what_rounding_up_adds():
    scale = compound_scaling(1)
    side = round(224 * scale.resolution)
    factors = dict(depth_factor=scale.depth, widen_factor=scale.width)
    assert scale.depth * scale.width**2 * scale.resolution**2 == pytest.approx(
        1.92, abs=0.01
    )
    assert side == 258
    assert macs(side, **factors) / macs(224) == pytest.approx(2.57, abs=0.01)


def test_b0_grows_into_the_other_variants():
    with torch.device('meta'):
        grown = EfficientNet('b0', widen_factor=1.4, depth_factor=1.8, num_classes=9)
        b4 = EfficientNet('b4', num_classes=9)
    shapes = {key: value.shape for key, value in b4.state_dict().items()}
    assert {key: value.shape for key, value in grown.state_dict().items()} == shapes


def test_channels_are_multiples_of_8_and_never_much_fewer():
    assert [round_filters(32, w) for w in (1.0, 1.1, 1.2, 1.4)] == [32, 32, 40, 48]
    assert round_filters(8, 0.1) == 8
    assert round_filters(11, 1.0) == 16  # 8 would be less than nine tenths
    assert [round_repeats(3, d) for d in (1.0, 1.1, 1.4)] == [3, 4, 5]


@pytest.mark.parametrize('coefficient', ['alpha', 'beta', 'gamma'])
def test_coefficients_below_one_are_refused(coefficient):
    with pytest.raises(ValueError, match=f'{coefficient}=0.9.*expected 1 or more'):
        compound_scaling(1, **{coefficient: 0.9})
