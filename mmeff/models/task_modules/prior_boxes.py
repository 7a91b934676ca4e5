"""Prior boxes of the SSD family, in pixels of the input.

SSD, https://arxiv.org/abs/1512.02325, section 2.2, *Choosing scales and aspect ratios*.
Every cell of a map has the same boxes around its centre::

    Caffe's PriorBox layer              TensorFlow's SSD anchors
    min                                 scale, ratio 1
    sqrt(min * max), where max is set   scale, ratio 2
    min, ratio r   \\  for each ratio    scale, ratio 1/2
    min, ratio 1/r /                    scale, ratios 3 and 1/3
                                        sqrt(scale * next scale)

A ratio is width over height and keeps the area.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from torch import Tensor

from mmeff.registry import TASK_UTILS

# TensorFlow's first map has few boxes: scale and ratio of the smallest one; the two
# others have the scale of the map.
SMALLEST_SCALE = 0.1
FIRST_RATIOS = (2.0, 1 / 2)
RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)

Stride = float | tuple[float, float]
Size = tuple[float, float]


class CellBoxes(AnchorGenerator):
    """Boxes of given sizes around the centre of each cell of each map.

    Priors are ordered by map, row, column and box, as in Caffe and mmdet.

    Args:
        strides: Pixels from cell to cell, one number or (x, y) for each map; where the
            originals give none, the side of the input over that of the map.
        sizes: Width and height of the boxes in a cell, for each map.
        clip: Cut boxes at the border of the map: its cells times their stride.
    """

    def __init__(
        self,
        strides: Sequence[Stride],
        sizes: Sequence[Sequence[Size]],
        clip: bool = False,
    ) -> None:
        self.strides = [
            tuple(stride) if isinstance(stride, Sequence) else (stride, stride)
            for stride in strides
        ]
        self.sizes = sizes
        self.clip = clip
        self.use_box_type = False
        self.base_anchors = self.gen_base_anchors()

    def gen_base_anchors(self) -> list[Tensor]:
        """Boxes of the first cell of each map, ``(boxes in a cell, 4)``."""
        boxes = []
        for stride, sizes in zip(self.strides, self.sizes, strict=True):
            centre = torch.tensor(stride, dtype=torch.float32) / 2
            half = torch.tensor(sizes, dtype=torch.float32) / 2
            boxes.append(torch.cat((centre - half, centre + half), dim=1))
        return boxes

    def single_level_grid_priors(
        self,
        featmap_size: tuple[int, int],
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = 'cuda',
    ) -> Tensor:
        """Priors of one map of height and width `featmap_size`, ``(N, 4)``."""
        priors = super().single_level_grid_priors(
            featmap_size, level_idx, dtype, device
        )
        if not self.clip:
            return priors
        (height, width), (step_x, step_y) = featmap_size, self.strides[level_idx]
        border = priors.new_tensor((width * step_x, height * step_y) * 2)
        return priors.clamp(min=0).minimum(border)

    def sparse_priors(
        self,
        prior_idxs: Tensor,
        featmap_size: tuple[int, int],
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = 'cuda',
    ) -> Tensor:
        """Some priors of one map, ``(len(prior_idxs), 4)``."""
        priors = self.single_level_grid_priors(featmap_size, level_idx, dtype, device)
        return priors[prior_idxs]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(strides={self.strides}, sizes={self.sizes}, '
            f'clip={self.clip})'
        )


@TASK_UTILS.register_module()
class PriorBoxGenerator(CellBoxes):
    """Caffe's PriorBox layer with `flip`, for all maps.

    Args:
        strides: See `CellBoxes`; Caffe's `step`. Its `offset` is 0.5.
        min_sizes: Side of the small square box of each map.
        max_sizes: The large square box has the side ``sqrt(min * max)``; None, for all
            maps or for one of them: there is no such box.
        ratios: Of each map, without 1 and without the inverses, which are added.
        clip: See `CellBoxes`.

    Raises:
        ValueError: The arguments are not for the same number of maps, or a maximum is
            not above its minimum.
    """

    def __init__(
        self,
        strides: Sequence[Stride],
        min_sizes: Sequence[float],
        max_sizes: Sequence[float | None] | None,
        ratios: Sequence[Sequence[float]],
        clip: bool = False,
    ) -> None:
        max_sizes = max_sizes or [None] * len(min_sizes)
        numbers = [len(x) for x in (strides, min_sizes, max_sizes, ratios)]
        if len(set(numbers)) > 1:
            raise ValueError(
                'strides, min_sizes, max_sizes and ratios are for '
                f'{", ".join(map(str, numbers))} maps; expected the same number'
            )
        for low, high in zip(min_sizes, max_sizes, strict=True):
            if low <= 0 or (high is not None and high <= low):
                raise ValueError(
                    f'min_sizes={list(min_sizes)}, max_sizes={list(max_sizes)}: '
                    'expected numbers above 0, each maximum above its minimum'
                )
        super().__init__(
            strides, list(map(_caffe_sizes, min_sizes, max_sizes, ratios)), clip
        )


@TASK_UTILS.register_module()
class SSDLitePriorGenerator(CellBoxes):
    """TensorFlow's SSD anchors, which SSDLite was published with.

    Scales are fractions of the input, spaced evenly from the first map to the last. The
    first map has three boxes, the others six. Caffe's layer cannot say this: the boxes of
    the first map have two areas.

    The documentation of the original says that anchors are clipped, its code does not do
    so; hence the default of `clip`.

    Args:
        strides: See `CellBoxes`; originally the side of the input over that of the map.
        input_size: Side of the input in pixels.
        scale_range: Scales of the first and of the last map.
        clip: See `CellBoxes`.

    Raises:
        ValueError: Fewer than two maps.
    """

    def __init__(
        self,
        strides: Sequence[Stride],
        input_size: float,
        scale_range: tuple[float, float] = (0.2, 0.95),
        clip: bool = False,
    ) -> None:
        if len(strides) < 2:
            raise ValueError(f'strides={list(strides)}: expected two maps or more')
        low, high = scale_range
        step = (high - low) / (len(strides) - 1)
        scales = [low + step * i for i in range(len(strides))] + [1.0]
        specs = [[(SMALLEST_SCALE, 1.0), *((low, ratio) for ratio in FIRST_RATIOS)]]
        for scale, larger in pairwise(scales[1:]):
            boxes = [(scale, ratio) for ratio in RATIOS]
            specs.append([*boxes, (math.sqrt(scale * larger), 1.0)])
        sizes = [[_size(scale * input_size, r) for scale, r in spec] for spec in specs]
        super().__init__(strides, sizes, clip)


def _size(side: float, ratio: float) -> Size:
    """Width and height of a box with the area of a square."""
    return side * math.sqrt(ratio), side / math.sqrt(ratio)


def _caffe_sizes(low: float, high: float | None, ratios: Sequence[float]) -> list[Size]:
    sizes = [_size(low, 1.0)]
    if high is not None:
        sizes.append(_size(math.sqrt(low * high), 1.0))
    for ratio in ratios:
        sizes += [_size(low, ratio), _size(low, 1 / ratio)]
    return sizes
