"""Prior boxes against values worked out by hand, loops, and published numbers."""

from math import sqrt

import pytest
import torch
from mmengine.registry import init_default_scope

from mmeff.config import load_config
from mmeff.models import PriorBoxGenerator, SSDLitePriorGenerator
from mmeff.registry import TASK_UTILS

# Boxes of a cell by width and height, around (5, 5).
HAND = [(3, 3, 7, 7), (2, 2, 8, 8), (1, 4, 9, 6), (4, 1, 6, 9)]


def test_first_cell_is_as_worked_out_by_hand():
    """Minimum 4, maximum 9: sides 4 and sqrt(36); ratio 4: 8 x 2 and 2 x 8."""
    generator = PriorBoxGenerator([10], [4], [9], [[4]])
    assert generator.base_anchors[0].tolist() == [list(map(float, b)) for b in HAND]


def test_cells_follow_row_by_row():
    generator = PriorBoxGenerator([(10, 20)], [4], None, [[]])
    (priors,) = generator.grid_priors([(2, 3)], device='cpu')
    centres = ((priors[:, :2] + priors[:, 2:]) / 2).tolist()
    assert centres == [[5, 10], [15, 10], [25, 10], [5, 30], [15, 30], [25, 30]]
    assert (priors[:, 2:] - priors[:, :2]).eq(4).all()


def test_a_single_maximum_may_be_missing():
    generator = PriorBoxGenerator([8, 16], [4, 8], [None, 16], [[2], [2, 3]])
    assert generator.num_base_priors == [3, 6]
    assert PriorBoxGenerator([8], [4], None, [[2, 3]]).num_base_priors == [5]


def caffe_priors(side, cells, low, high, ratios):
    """Caffe's PriorBox layer without a step, in loops and in fractions of the image."""
    boxes = []
    step = side / cells
    for row in range(cells):
        for column in range(cells):
            x, y = (column + 0.5) * step, (row + 0.5) * step
            shapes = [(low, low)]
            if high:
                shapes.append((sqrt(low * high),) * 2)
            for ratio in (r for pair in ((r, 1 / r) for r in ratios) for r in pair):
                shapes.append((low * sqrt(ratio), low / sqrt(ratio)))
            for width, height in shapes:
                boxes.append(
                    (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                )
    return boxes


@pytest.mark.parametrize(
    ('config', 'side', 'maps', 'count'),
    [
        ('ssd300_mobilenetv1_voc', 300, (19, 10, 5, 3, 2, 1), 1917),
        ('pelee304_voc', 304, (19, 19, 10, 5, 3, 1), 5142),
    ],
)
def test_configs_have_the_published_priors(config, side, maps, count):
    init_default_scope('mmdet')
    settings = load_config(config).model.bbox_head.anchor_generator
    generator = TASK_UTILS.build(settings)
    priors = generator.grid_priors([(n, n) for n in maps], device='cpu')
    expected = [
        box
        for n, *rest in zip(
            maps, settings.min_sizes, settings.max_sizes, settings.ratios, strict=True
        )
        for box in caffe_priors(side, n, *rest)
    ]
    assert len(expected) == count
    torch.testing.assert_close(torch.cat(priors), torch.tensor(expected))


def tensorflow_priors(side, maps):
    """TensorFlow's `create_ssd_anchors` for six maps, in loops and scales of its docs."""
    scales = [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0]
    boxes = []
    for i, cells in enumerate(maps):
        specs = [(scales[i], r) for r in (1, 2, 0.5, 3, 1 / 3)]
        specs.append((sqrt(scales[i] * scales[i + 1]), 1))
        if i == 0:
            specs = [(0.1, 1), (0.2, 2), (0.2, 0.5)]
        for row in range(cells):
            for column in range(cells):
                x, y = (column + 0.5) / cells, (row + 0.5) / cells
                for scale, ratio in specs:
                    w, h = scale * sqrt(ratio) / 2, scale / sqrt(ratio) / 2
                    boxes.append([side * v for v in (x - w, y - h, x + w, y + h)])
    return torch.tensor(boxes)


def test_ssdlite_has_the_priors_of_tensorflow():
    init_default_scope('mmdet')
    cfg = load_config('ssdlite320_mobilenetv2_coco').model.bbox_head
    generator = TASK_UTILS.build(cfg.anchor_generator)
    maps = (20, 10, 5, 3, 2, 1)
    priors = torch.cat(generator.grid_priors([(n, n) for n in maps], device='cpu'))
    assert len(priors) == 3 * 20**2 + 6 * (10**2 + 5**2 + 3**2 + 2**2 + 1) == 2034
    torch.testing.assert_close(priors, tensorflow_priors(320, maps))


@pytest.mark.parametrize('clip', [False, True])
def test_clipping_cuts_at_the_border_and_nowhere_else(clip):
    free = SSDLitePriorGenerator([64, 320], 320)
    generator = SSDLitePriorGenerator([64, 320], 320, clip=clip)
    for level, size in enumerate([(5, 5), (1, 1)]):
        priors = generator.single_level_grid_priors(size, level, device='cpu')
        expected = free.single_level_grid_priors(size, level, device='cpu')
        assert (expected < 0).any()
        assert priors.equal(expected.clamp(0, 320) if clip else expected)
        some = torch.tensor([2, 0])
        assert generator.sparse_priors(some, size, level, device='cpu').equal(
            priors[some]
        )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (([8, 16], [4], [9], [[2]]), 'are for 2, 1, 1, 1 maps'),
        (([8], [9], [9], [[2]]), 'each maximum above its minimum'),
        (([8], [0], None, [[2]]), 'numbers above 0'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PriorBoxGenerator(*arguments)


def test_ssdlite_needs_two_maps():
    with pytest.raises(ValueError, match='expected two maps or more'):
        SSDLitePriorGenerator([16], 320)
