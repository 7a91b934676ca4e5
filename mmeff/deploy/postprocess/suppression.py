"""The last step of a dense head: boxes of the original image, suppressed and limited.

Suppression goes from the best box to the worst, so whether a box stays depends on better
ones only: where `max_per_img` boxes of the best few hundred stay, the rest, often
thousands, need not be compared.
"""

from functools import partial

import numpy as np
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torchvision.ops import nms

from mmeff.ops.precision import widen

ROUND = 4  # times the boxes wanted are compared first, and more by this factor later


def speed_up_suppression(head: nn.Module) -> None:
    """Give a head a faster `_bbox_post_process`, if it has that of `BaseDenseHead`."""
    own = getattr(type(head), '_bbox_post_process', None)
    if own is BaseDenseHead._bbox_post_process:
        head._bbox_post_process = partial(post_process, head)


def post_process(
    head: BaseDenseHead,
    results: InstanceData,
    cfg: ConfigDict,
    rescale: bool = False,
    with_nms: bool = True,
    img_meta: dict | None = None,
) -> InstanceData:
    """What `BaseDenseHead._bbox_post_process` does, which also does what is rare.

    Args:
        head: Of the results.
        results: Candidates of one image: `bboxes` in pixels, `scores`, `labels`, perhaps
            `score_factors`.
        cfg: `min_bbox_size`, `nms`, `max_per_img`.
        rescale: Divide boxes by the image's `scale_factor`.
        with_nms: Suppress boxes.
        img_meta: Of the image.
    """
    plain = with_nms and set(cfg['nms']) <= {'type', 'iou_threshold'}
    if not (
        plain
        and cfg['nms'].get('type', 'nms') == 'nms'
        and cfg['max_per_img'] > 0
        and isinstance(results.bboxes, Tensor)
    ):
        return BaseDenseHead._bbox_post_process(
            head, results, cfg, rescale, with_nms, img_meta
        )
    if rescale:
        factor = [1 / side for side in img_meta['scale_factor']] * 2
        results.bboxes = results.bboxes * results.bboxes.new_tensor(factor)
    if 'score_factors' in results:
        results.scores = results.scores * results.pop('score_factors')
    if cfg.get('min_bbox_size', -1) >= 0:
        boxes = results.bboxes
        large = (boxes[:, 2:] - boxes[:, :2] > cfg['min_bbox_size']).all(1)
        if not large.all():
            results = results[large]
    if len(results) == 0:
        return results
    threshold, most = cfg['nms']['iou_threshold'], cfg['max_per_img']
    kept = best_kept(results.bboxes, results.scores, results.labels, threshold, most)
    return results[kept]


def best_kept(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float, most: int
) -> Tensor:
    """The best boxes that the suppression within each class keeps.

    Args:
        boxes: ``(N, 4)``, one or more.
        scores, labels: ``(N,)``.
        iou_threshold: A box is dropped when its IoU with a kept one is above this.
        most: How many are wanted.

    Returns:
        Indices, at most `most`, best first.
    """
    order = scores.sort(descending=True)[1]
    # far from each other where classes differ, exactly as in mmcv
    boxes = boxes + (labels.to(boxes) * (boxes.max() + 1))[:, None]
    threshold = float(np.float32(iou_threshold))  # as mmcv's compiled code compares
    count = most
    while True:
        count *= ROUND
        first = order[:count]
        kept = nms(*widen(boxes[first], scores[first]), threshold)
        if len(kept) >= most or count >= len(order):
            return first[kept[:most]]
