"""Every detector of the report: counts as expected, and as closed formulas say."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmeff.apis import verify
from mmeff.config import load_config
from mmeff.errors import UserError
from mmeff.fidelity import DETECTORS, fpn
from mmeff.fidelity.detectors import DetectorResult, DetectorRow, check_detector
from mmeff.fidelity.page import detectors_page
from mmeff.profiling.counts import count_operations, count_params
from mmeff.registry import MODELS

ROWS = {row.name: row for rows in DETECTORS.values() for row in rows}
PYRAMIDS = [row.name for row in fpn.DETECTORS]
LIGHT = ROWS['RetinaNet, GhostNet 1.1']


def settings(row: DetectorRow) -> Config:
    return load_config(row.config, row.options)


@cache
def measured(name: str) -> DetectorResult:
    return check_detector(ROWS[name], settings(ROWS[name]))


def conv(inputs: int, outputs: int, size: int, positions: int) -> np.ndarray:
    """Parameters with bias, and MACs, of a convolution or linear layer."""
    weights = inputs * outputs * size**2
    return np.array([weights + outputs, weights * positions])


def pixels(sides: list[int]) -> int:
    return sum(side**2 for side in sides)


def pyramid(channels: list[int], width: int, sides: list[int]) -> np.ndarray:
    """Laterals, then a 3x3 convolution on every level; `sides` may be more."""
    laterals = sum(
        conv(c, width, 1, side**2) for c, side in zip(channels, sides, strict=False)
    )
    return laterals + sum(conv(width, width, 3, side**2) for side in sides)


def retinanet(channels: list[int]) -> np.ndarray:
    sides = [100, 50, 25, 13, 7]
    head = 8 * [256] + [9 * 80, 9 * 4]
    return pyramid(channels, 256, sides) + sum(
        conv(256, outputs, 3, pixels(sides)) for outputs in head
    )


def first_stage(channels: list[int], width: int) -> np.ndarray:
    sides = [200, 100, 50, 25]
    everywhere = pixels([*sides, 13])  # the last level is a max pool
    head = conv(width, width, 3, everywhere) + conv(width, 3 * 5, 1, everywhere)
    return pyramid(channels, width, sides) + head


def box_head(width: int) -> np.ndarray:
    """On 1000 proposals; `width` channels of 7x7."""
    layers = [(width * 49, 1024), (1024, 1024), (1024, 81), (1024, 80 * 4)]
    return sum(conv(*layer, 1, 1000) for layer in layers)


def mask_head() -> np.ndarray:
    """On 100 boxes of 14x14; the deconvolution doubles the side."""
    area = 100 * 14**2
    return (
        4 * conv(256, 256, 3, area)
        + conv(256, 256, 2, area)
        + conv(256, 80, 1, 4 * area)
    )


def group_norm_extra() -> np.ndarray:
    """Beside the plain form: norms (no bias, so 256 more) and four convolutions of RoIs
    in place of the second linear layer."""
    norms = np.array([(8 + 4 + 4) * 256, 0])
    return norms + 4 * conv(256, 256, 3, 1000 * 49) - conv(1024, 1024, 1, 1000)


def neck_and_heads(model: Config) -> np.ndarray:
    channels, width = model.neck.in_channels, model.neck.out_channels
    if model.type == 'RetinaNet':
        return retinanet(channels)
    total = first_stage(channels, width) + box_head(width)
    if model.type == 'MaskRCNN':
        total = total + mask_head()
        if 'norm_cfg' in model.neck:
            total = total + group_norm_extra()
    return total


def test_names_are_unique():
    assert len(ROWS) == sum(map(len, DETECTORS.values()))


@pytest.mark.parametrize('name', ROWS)
def test_counts_are_the_expected_ones(name):
    result = measured(name)
    assert result.params == ROWS[name].params
    assert result.counts_agree, f'{result.macs} MACs, expected {ROWS[name].macs}'


@pytest.mark.parametrize('name', PYRAMIDS)
def test_counts_are_the_backbone_and_closed_formulas(name):
    cfg = settings(ROWS[name])
    with torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
        image = torch.empty(1, 3, 800, 800)
    backbone.eval()  # which returns None for a ResNet of mmdet
    alone = [
        count_params(backbone).total,
        count_operations(lambda: backbone(image)).macs,
    ]
    result = measured(name)
    assert result.parts['backbone'] == tuple(alone)
    params, macs = neck_and_heads(cfg.model) + alone
    assert (result.params, result.macs) == (params, macs)


@pytest.mark.parametrize('name', PYRAMIDS)
def test_parts_make_up_the_whole(name):
    result = measured(name)
    total = np.sum(list(result.parts.values()), axis=0)
    assert tuple(total) == (result.params, result.macs)
    second = [path for path in result.parts if path.startswith('roi_head.')]
    assert len(second) == {'R': 0, 'F': 1, 'M': 2}[name[0]]


def test_readme_counts_the_same_number_more_for_every_backbone():
    """9.5M to its one decimal, whatever they are: not reproduced."""
    readme = {
        row.name: float(row.published[0][:-1])
        for row in fpn.DETECTORS
        if row.published[0]
    }
    assert len(readme) == 5
    for name, printed in readme.items():
        assert printed - measured(name).params / 1e6 == pytest.approx(9.5, abs=0.1)


def test_classes_can_be_set_in_all_heads():
    result = check_detector(replace(LIGHT, num_classes=20), settings(LIGHT))
    assert LIGHT.params - result.params == 9 * 60 * (256 * 9 + 1)
    assert not result.counts_agree


def test_wrong_expectations_are_noticed():
    right = measured(LIGHT.name)
    params, _ = right.parts['neck']
    cfg = settings(LIGHT)
    for parts, agree in (
        ({'neck': (params, '8.1G')}, True),
        ({'neck': (params + 1, '8.1G')}, False),
        ({'neck': (params, '8.2G')}, False),
    ):
        result = check_detector(replace(LIGHT, parts=parts), cfg)
        assert list(result.parts) == ['neck']
        assert result.counts_agree is agree
    assert not replace(right, row=replace(LIGHT, macs='1.0G')).counts_agree


def test_page_has_a_line_for_each_detector_with_shares_and_notes():
    row = DetectorRow('A', 'a.py', 200, '1G', 320, published=('0.2K', None), note='why')
    result = DetectorResult(row, 200, 10**9, {'backbone': (150, 4 * 10**8)})
    lines = detectors_page({'Family': [result]}).splitlines()
    assert '## Family' in lines
    assert (
        '| A [1] | `a.py` | 320 | 200 | 0.2K (+0.0 %) | 1G | - | backbone 75%, 40% |'
    ) in lines
    assert lines[-1] == '1. why'


def test_report_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, 'DETECTORS', {'FPN': (LIGHT,)})
    seen, out = [], tmp_path / 'docs' / 'page.md'
    (result,) = verify.verify_detectors(out=str(out), report=seen.append)
    assert seen == [result] == [measured(LIGHT.name)]
    assert f'| {LIGHT.params:,} |' in out.read_text()
    with pytest.raises(UserError, match="no family 'Nets': expected some of FPN"):
        verify.verify_detectors(['Nets'])
