"""Proposals of an RPN head, from the anchors that can become one.

mmdet lays out, sorts and squashes all anchors of a level to keep the first thousand. The
order of scores is that of their logits, so here those are chosen first, and anchors,
deltas and scores of the others are never made. On a CPU suppression goes level by level:
boxes of different levels never suppress each other. Scores that are equal after rounding, whose
order mmdet leaves to the sorting routine of the machine, are in the order of their logits.
"""

import torch
from mmcv.ops import batched_nms, nms
from mmdet.models.dense_heads import RPNHead
from mmdet.structures.bbox import scale_boxes
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor


def predict_by_feat(
    self: RPNHead,
    cls_scores: list[Tensor],
    bbox_preds: list[Tensor],
    score_factors: None = None,
    batch_img_metas: list[dict] | None = None,
    cfg: ConfigDict | None = None,
    rescale: bool = False,
    with_nms: bool = True,
) -> list[InstanceData]:
    """In place of `RPNHead.predict_by_feat`; the same proposals.

    Args:
        self: The head; with a sigmoid, anchors and boxes as plain tensors.
        cls_scores: Logits of each level, ``(B, A, H, W)``.
        bbox_preds: Deltas of each level, ``(B, 4A, H, W)``.
        score_factors: Not used by an RPN.
        batch_img_metas: Of each image, with `img_shape`.
        cfg: By default `self.test_cfg`.
        rescale: Divide the boxes by the image's `scale_factor`.
        with_nms: An RPN always has it.

    Returns:
        Of each image `bboxes` (N, 4), `scores` (N,) and `labels` (N,), which are 0.
    """
    cfg = self.test_cfg if cfg is None else cfg
    results = []
    for image, meta in enumerate(batch_img_metas):
        levels = [
            _best_of_level(self, level, logits[image], deltas[image], cfg)
            for level, (logits, deltas) in enumerate(
                zip(cls_scores, bbox_preds, strict=True)
            )
        ]
        logits, deltas, anchors = map(torch.cat, zip(*levels, strict=True))
        boxes = self.bbox_coder.decode(anchors, deltas, max_shape=meta['img_shape'])
        if rescale:
            boxes = scale_boxes(boxes, [1 / scale for scale in meta['scale_factor']])
        sizes = torch.tensor([len(level[0]) for level in levels], device=boxes.device)
        ids = torch.arange(len(levels), device=boxes.device).repeat_interleave(sizes)
        results.append(_suppress(boxes, logits, ids, cfg))
    return results


def _best_of_level(
    head: RPNHead, level: int, logits: Tensor, deltas: Tensor, cfg: ConfigDict
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N,), deltas (N, 4) and anchors (N, 4) of the best of one image."""
    num_anchors, height, width = logits.shape
    logits = logits.permute(1, 2, 0).reshape(-1)
    nms_pre = cfg.get('nms_pre', -1)
    if 0 < nms_pre < len(logits):
        index = logits.topk(nms_pre, sorted=False).indices
        logits = logits[index]
    else:
        index = torch.arange(len(logits), device=logits.device)
    cell, anchor = index // num_anchors, index % num_anchors
    deltas = deltas.unflatten(0, (num_anchors, -1)).permute(2, 3, 0, 1)
    deltas = deltas[cell // width, cell % width, anchor]
    anchors = head.prior_generator.sparse_priors(
        index, (height, width), level, logits.dtype, logits.device
    )
    return logits, deltas, anchors


def _suppress(
    boxes: Tensor, logits: Tensor, ids: Tensor, cfg: ConfigDict
) -> InstanceData:
    """The best proposals of an image; `ids` are the levels (N,) of its boxes, rising."""
    if cfg.get('min_bbox_size', -1) >= 0:
        valid = ((boxes[:, 2:] - boxes[:, :2]) > cfg.min_bbox_size).all(1)
        boxes, logits, ids = boxes[valid], logits[valid], ids[valid]
    if boxes.device.type == 'cpu' and len(boxes) and _is_plain(cfg.nms):
        keep = _nms_by_level(boxes, logits, ids, cfg.nms)[: cfg.max_per_img]
        scores = logits[keep].sigmoid()
    elif len(boxes):
        dets, keep = batched_nms(boxes, logits.sigmoid(), ids, cfg.nms)
        scores, keep = dets[: cfg.max_per_img, -1], keep[: cfg.max_per_img]
    else:
        scores, keep = logits, ids
    labels = torch.zeros_like(keep)
    return InstanceData(bboxes=boxes[keep], scores=scores, labels=labels)


def _is_plain(nms_cfg: ConfigDict | None) -> bool:
    return (
        nms_cfg is not None
        and nms_cfg.get('type', 'nms') == 'nms'
        and set(nms_cfg) <= {'type', 'iou_threshold'}
    )


def _nms_by_level(
    boxes: Tensor, logits: Tensor, ids: Tensor, nms_cfg: ConfigDict
) -> Tensor:
    """Indices of the kept, best first.

    Boxes are moved apart by level as in `batched_nms`, although nothing compares them
    across levels: its sums round the corners, and so decide what is suppressed.
    """
    moved = boxes + (ids.to(boxes) * (boxes.max() + 1))[:, None]
    kept, first = [], 0
    for number in torch.bincount(ids).tolist():
        level = slice(first, first + number)
        kept.append(nms(moved[level], logits[level], nms_cfg.iou_threshold)[1] + first)
        first += number
    kept = torch.cat(kept)
    return kept[logits[kept].sort(descending=True, stable=True).indices]
