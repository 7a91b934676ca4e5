"""The code between the networks of a two-stage detector, faster and with equal results.

For Mask R-CNN at 800 x 1333 it takes, in mmdet, about 0.8 s of one core::

    proposals      `rpn.py`         only anchors that can become one
    RoI features   `roi_align.py`   rows of channels, on all threads
    boxes          here             only classes above the threshold are decoded
    masks          `masks.py`       products of matrices, one channel of each mask

Each piece is replaced only where mmdet's own code would run, and on its own, so that a
head with a method of its own keeps it, and the others are faster still.
"""

from types import MethodType

import torch
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import RPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.structures.bbox import scale_boxes
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmeff.deploy.postprocess import masks, roi_align, rpn


def speed_up_rois(model: TwoStageDetector) -> None:
    """Replace, in this one detector, what is slow between its networks.

    Args:
        model: In eval mode; changed in place. What is not known to give equal results
            stays as it is.
    """
    if model.with_rpn and _is_plain_rpn(model.rpn_head):
        head = model.rpn_head
        head.predict_by_feat = MethodType(rpn.predict_by_feat, head)
    extractors = [
        module for module in model.roi_head.modules() if roi_align.can_extract(module)
    ]
    for extractor in extractors:
        extractor.forward = MethodType(roi_align.extract, extractor)
    if extractors:
        model.roi_head.predict = MethodType(_predict, model.roi_head)
    for head in model.roi_head.modules():
        if _is_plain_box_head(head):
            head._predict_by_feat_single = MethodType(_predict_by_feat_single, head)
        elif _inherits(head, FCNMaskHead, '_predict_by_feat_single', 'predict_by_feat'):
            single = MethodType(masks.predict_by_feat_single, head)
            head._predict_by_feat_single = single


def _inherits(module: nn.Module, base: type, *names: str) -> bool:
    """Whether a module is of a class whose methods are those of its base."""
    return isinstance(module, base) and all(
        getattr(type(module), name) is getattr(base, name) for name in names
    )


def _is_plain_rpn(head: nn.Module) -> bool:
    return (
        _inherits(head, RPNHead, '_predict_by_feat_single', '_bbox_post_process')
        and _inherits(head, BaseDenseHead, 'predict_by_feat')
        and type(head.prior_generator) is AnchorGenerator
        and not head.prior_generator.use_box_type
        and _decodes_rows(head.bbox_coder)
        and head.use_sigmoid_cls
    )


def _is_plain_box_head(head: nn.Module) -> bool:
    return (
        _inherits(head, BBoxHead, 'predict_by_feat', '_predict_by_feat_single')
        and head.with_reg
        and not head.custom_cls_channels
        and _decodes_rows(head.bbox_coder)
    )


def _decodes_rows(coder: object) -> bool:
    """Whether each row of deltas gives one box, a plain tensor."""
    return type(coder) is DeltaXYWHBBoxCoder and not coder.use_box_type


def _predict(
    self: nn.Module, x: tuple[Tensor, ...], *args: object, **kwargs: object
) -> list[InstanceData]:
    """`predict` of a RoI head, on maps whose channels are last, as `roi_align` reads them.

    Boxes, stages and masks all read them, so this is done once.
    """
    if x[0].device.type == 'cpu':
        x = tuple(feat.contiguous(memory_format=torch.channels_last) for feat in x)
    return type(self).predict(self, x, *args, **kwargs)


def _predict_by_feat_single(
    self: BBoxHead,
    roi: Tensor,
    cls_score: Tensor,
    bbox_pred: Tensor,
    img_meta: dict,
    rescale: bool = False,
    rcnn_test_cfg: ConfigDict | None = None,
) -> InstanceData:
    """In place of `BBoxHead._predict_by_feat_single`.

    Args:
        self: The head.
        roi: (R, 5) as image index, x1, y1, x2, y2.
        cls_score: Logits (R, classes + 1), the background's last.
        bbox_pred: Deltas (R, 4 * classes), or (R, 4) for all classes.
        img_meta: With `img_shape`, and `scale_factor` if `rescale`.
        rescale: Boxes in the original image's pixels.
        rcnn_test_cfg: With `score_thr`, `nms` and `max_per_img`; left to mmdet if None.

    Returns:
        `bboxes` (N, 4), `scores` (N,) and `labels` (N,), best first.
    """
    if rcnn_test_cfg is None or not len(roi):
        return type(self)._predict_by_feat_single(
            self, roi, cls_score, bbox_pred, img_meta, rescale, rcnn_test_cfg
        )
    scores = cls_score.softmax(-1)[:, :-1]
    index, labels = (scores > rcnn_test_cfg.score_thr).nonzero(as_tuple=True)
    scores = scores[index, labels]
    column = torch.zeros_like(labels) if self.reg_class_agnostic else labels
    deltas = bbox_pred.unflatten(1, (-1, 4))[index, column]
    boxes = self.bbox_coder.decode(
        roi[index, 1:], deltas, max_shape=img_meta['img_shape']
    )
    if rescale:
        boxes = scale_boxes(boxes, [1 / scale for scale in img_meta['scale_factor']])
    if len(boxes):
        dets, keep = batched_nms(boxes, scores, labels, rcnn_test_cfg.nms)
        if rcnn_test_cfg.max_per_img > 0:
            dets, keep = (
                dets[: rcnn_test_cfg.max_per_img],
                keep[: rcnn_test_cfg.max_per_img],
            )
        boxes, scores, labels = dets[:, :4], dets[:, 4], labels[keep]
    return InstanceData(bboxes=boxes, scores=scores, labels=labels)
