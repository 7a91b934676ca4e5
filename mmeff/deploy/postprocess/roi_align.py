"""RoIAlign (Mask R-CNN, sec. 3) on a CPU, as one sum of rows over all threads.

torchvision's kernel runs on one thread and reads each channel's map by itself. With
channels last, the value of a bin is a weighted sum of a few rows of C channels that lie
under it; torch sums such bags of rows with vector instructions and on all threads. The
samples of a bin share pixels, so a row is read once for all of them.

The sums are those of torchvision in another order: equal but for the last bits.
"""

import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor


def can_extract(extractor: SingleRoIExtractor) -> bool:
    """Whether `extract` computes the same: averages, as many samples as pixels."""
    return type(extractor) is SingleRoIExtractor and all(
        type(layer) is RoIAlign
        and layer.pool_mode == 'avg'
        and layer.sampling_ratio == 0
        for layer in extractor.roi_layers
    )


def extract(
    self: SingleRoIExtractor,
    feats: tuple[Tensor, ...],
    rois: Tensor,
    roi_scale_factor: float | None = None,
) -> Tensor:
    """In place of `SingleRoIExtractor.forward`.

    Args:
        self: One that `can_extract`.
        feats: Maps (B, C, H, W); fastest when their memory is channels last.
        rois: (R, 5) as image index, x1, y1, x2, y2 in pixels of the image.
        roi_scale_factor: Left to mmdet, and so are other devices and types.

    Returns:
        (R, C, PH, PW), channels last in memory.
    """
    plain = feats[0].device.type == 'cpu' and feats[0].dtype == torch.float32
    if not plain or roi_scale_factor is not None or not len(rois):
        return type(self).forward(self, feats, rois, roi_scale_factor)
    rois = rois.float()
    levels = torch.zeros(len(rois), dtype=torch.long)
    if len(feats) > 1:
        levels = self.map_roi_levels(rois, len(feats))
    x, y = _axes(self, feats, rois, levels)
    order, groups = _groups(levels, y[2], x[2])
    x, y, image = [of[order] for of in x], [of[order] for of in y], rois[order, 0].int()
    bins = self.roi_layers[0].output_size
    pooled = feats[0].new_empty(len(rois), *bins, feats[0].shape[1])
    for level, members in groups.items():
        table = feats[level].permute(0, 2, 3, 1)
        _, height, width, channels = table.shape
        bags = []
        for rows, ny, nx in members:
            first = image[rows, None, None] * height
            of_y = (first + y[0][rows, :, :ny]) * width, y[1][rows, :, :ny]
            bags.append(_bags(of_y, (x[0][rows, :, :nx], x[1][rows, :, :nx])))
        rows = order[members[0][0].start : members[-1][0].stop]
        sums = _sum_bags(table.reshape(-1, channels), bags)
        pooled[rows] = sums.view(len(rows), *bins, channels)
    return pooled.permute(0, 3, 1, 2)


Taps = tuple[Tensor, Tensor, Tensor]


def _axes(
    extractor: SingleRoIExtractor,
    feats: tuple[Tensor, ...],
    rois: Tensor,
    levels: Tensor,
) -> tuple[Taps, Taps]:
    """What `_taps` gives for x and for y, each RoI in the pixels of its level."""
    layers = list(extractor.roi_layers)
    scales = torch.tensor([layer.spatial_scale for layer in layers])[levels]
    aligned = torch.tensor([layer.aligned for layer in layers])[levels]
    corners = rois[:, 1:] * scales[:, None] - 0.5 * aligned[:, None]
    taps = []
    for axis in (0, 1):
        low, high = corners[:, axis], corners[:, axis + 2]
        size = torch.where(aligned, high - low, (high - low).clamp(min=1))
        limit = torch.tensor([feat.shape[3 - axis] for feat in feats])[levels]
        bins = layers[0].output_size[1 - axis]
        taps.append(_taps(low, size / bins, bins, limit))
    return taps[0], taps[1]


def _taps(low: Tensor, step: Tensor, bins: int, limit: Tensor) -> Taps:
    """The pixels under the bins along one axis, and their weights.

    Args:
        low: Where each RoI begins, (R,), in pixels.
        step: Size of its bins, (R,).
        bins: Their number.
        limit: Pixels of the map, (R,).

    Returns:
        Pixels (R, bins, T) and weights (R, bins, T), and how many of the T count (R,).
    """
    count = step.ceil().clamp(min=0)
    samples = torch.arange(max(int(count.max()), 1))
    number = count.clamp(min=1)[:, None]
    inside = (samples + 0.5) * step[:, None] / number
    starts = low[:, None] + torch.arange(bins) * step[:, None]
    place = starts[:, :, None] + inside[:, None]
    limit, used = limit[:, None, None], (samples < count[:, None])[:, None]
    used = used & (place >= -1) & (place <= limit)
    place = torch.minimum(place.clamp(min=0), limit - 1.0)
    below = place.floor()
    first, above = below[..., :1], place - below
    last = number[:, None].long()  # n samples at most a pixel apart lie on n + 1 pixels
    slot = (below - first).long()
    weights = torch.zeros(*place.shape[:2], len(samples) + 1)
    weights.scatter_add_(2, torch.minimum(slot, last), (1 - above) * used)
    weights.scatter_add_(2, torch.minimum(slot + 1, last), above * used)
    pixels = torch.minimum(first + torch.arange(len(samples) + 1), limit - 1.0)
    return pixels.int(), weights / number[:, None], last[:, 0, 0] + 1


def _groups(
    levels: Tensor, ny: Tensor, nx: Tensor
) -> tuple[Tensor, dict[int, list[tuple[slice, int, int]]]]:
    """RoIs of equal level and taps side by side.

    Returns:
        The order of the RoIs (R,), and of each level the places in it of those with
        equal `ny` and `nx`.
    """
    widest = int(nx.max()) + 1
    tallest = int(ny.max()) + 1
    key, order = ((levels * tallest + ny) * widest + nx).sort(stable=True)
    keys, numbers = torch.unique_consecutive(key, return_counts=True)
    groups, start = {}, 0
    for value, number in zip(keys.tolist(), numbers.tolist(), strict=True):
        rest, taps_x = divmod(value, widest)
        level, taps_y = divmod(rest, tallest)
        rows = slice(start, start + number)
        groups.setdefault(level, []).append((rows, taps_y, taps_x))
        start = rows.stop
    return order, groups


Bags = tuple[Tensor, Tensor, Tensor]


def _bags(y: tuple[Tensor, Tensor], x: tuple[Tensor, Tensor]) -> Bags:
    """Each bin as a bag of rows: all pairs of what lies under it along y and x.

    Args:
        y: First row of each line of pixels in the table, and weights, (R, PH, T).
        x: Pixels in the line, and weights, (R, PW, T').

    Returns:
        Rows and their weights, flat, (R * PH * PW * T * T',), and sizes of the bags,
        (R * PH * PW,).
    """
    of_y = [of[:, :, None, :, None] for of in y]
    of_x = [of[:, None, :, None, :] for of in x]
    rows, weights = of_y[0] + of_x[0], of_y[1] * of_x[1]
    size = rows.shape[3] * rows.shape[4]
    sizes = torch.full((rows.numel() // size,), size)
    return rows.flatten(), weights.flatten(), sizes


def _sum_bags(table: Tensor, bags: list[Bags]) -> Tensor:
    """Weighted sums of rows of a table (N, C), (bags, C)."""
    rows, weights, sizes = map(torch.cat, zip(*bags, strict=True))
    starts = (sizes.cumsum(0) - sizes).int()
    return F.embedding_bag(rows, table, starts, mode='sum', per_sample_weights=weights)
