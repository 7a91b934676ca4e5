"""Pre- and post-processing as modules that can be exported with a network.

    image (B, H, W, 3) uint8 -> Preprocess -> network -> Postprocess -> boxes, scores,
                                                                        labels, num_dets

`Postprocess` does what mmdet's dense heads do image by image and level by level, on whole
batches and in tensors of fixed size: what is left out has the score 0.
"""

from collections.abc import Mapping, Sequence

import torch
import torchvision
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_flatten, tree_unflatten

from mmeff.errors import UserError
from mmeff.models.dense_heads import RefineDetHead, SSDHead
from mmeff.models.dense_heads.ssd_head import ClassLoss

NMS_SETTINGS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}
# Pairs of prior and class of a RefineDet that enter the suppression, for each box that
# may leave it.
PAIRS_PER_BOX = 10
OUTPUTS = ('boxes', 'scores', 'labels', 'num_dets')

Maps = Sequence[Tensor]


class Preprocess(nn.Module):
    """What mmdet's data preprocessor does: normalise, order channels, pad.

    Input ``(B, H, W, 3)`` uint8 in BGR order, output ``(B, 3, H', W')`` float32, H' and W'
    the next multiples of `pad_size_divisor`.

    Raises:
        UserError: The preprocessor is of another class.
    """

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        if type(preprocessor) is not DetDataPreprocessor:
            raise UserError(
                f'{type(preprocessor).__name__} cannot be put into the exported file: '
                "expected DetDataPreprocessor; use pre='outside'"
            )
        self.swap = preprocessor._channel_conversion
        self.divisor = preprocessor.pad_size_divisor
        self.fill = float(preprocessor.pad_value)
        mean, std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
        if preprocessor._enable_normalize:
            mean, std = preprocessor.mean, preprocessor.std
        self.register_buffer('mean', mean.cpu().clone())
        self.register_buffer('std', std.cpu().clone())

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[1:3]
        pixels = image.permute(0, 3, 1, 2).float()
        if self.swap:
            pixels = pixels.flip(1)
        pixels = (pixels - self.mean) / self.std
        if self.divisor > 1:
            below, right = -height % self.divisor, -width % self.divisor
            pixels = F.pad(pixels, (0, right, 0, below), value=self.fill)
        return pixels


class Postprocess(nn.Module):
    """Detections of a batch, from what a dense head puts out.

    Output, with M = `max_per_img`: boxes ``(B, M, 4)`` as x1, y1, x2, y2 in pixels of the
    input, scores ``(B, M)`` from the highest down, labels ``(B, M)`` int64 and the number
    of detections ``(B,)`` int64; behind them boxes and scores are 0, labels -1.

    Args:
        head: Predicts as mmdet's `BaseDenseHead`, or is a `RefineDetHead`.
        sizes: Height and width of the maps; None if they vary.

    Raises:
        UserError: The head predicts in another way, or its suppression is not plain NMS.
    """

    def __init__(self, head: nn.Module, sizes: list[torch.Size] | None) -> None:
        super().__init__()
        _check(head)
        cfg = head.test_cfg
        self.head = _Tools(head)
        self.refines = isinstance(head, RefineDetHead)
        self.objectness_thr = head.objectness_thr if self.refines else None
        self.score_thr = cfg.get('score_thr', 0)
        self.nms_pre = cfg['nms_pre']
        self.min_size = cfg.get('min_bbox_size', -1)
        self.iou_threshold = cfg['nms']['iou_threshold']
        self.agnostic = cfg['nms'].get('class_agnostic', False)
        self.max_per_img = cfg['max_per_img']
        self.levels = 0
        if sizes is not None:
            self.levels = len(sizes)
            for i, level in enumerate(self.head.priors(sizes, 'cpu')):
                self.register_buffer(f'priors_{i}', level)

    def forward(
        self, outputs: Sequence[Maps], size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Of the head's outputs, and the height and width that boxes are clipped to."""
        select = self._refined if self.refines else self._of_levels
        boxes, scores, labels = select(outputs)
        if self.head.clips:
            boxes = _clip(boxes, *size)
        if self.min_size >= 0:
            sides = boxes[..., 2:] - boxes[..., :2]
            scores = scores * (sides > self.min_size).all(-1)
        groups = boxes
        if not self.agnostic:  # boxes of different classes lie apart, as in mmcv
            groups = boxes + (labels * (boxes.max() + 1))[..., None]
        kept = suppress(groups, scores, self.iou_threshold, self.max_per_img)
        scores, index = _top(kept, self.max_per_img)
        found = scores > 0
        missing = self.max_per_img - scores.shape[1]
        boxes = _rows(boxes, index) * found[..., None]
        labels = labels.gather(1, index).where(found, -1)
        return (
            F.pad(boxes, (0, 0, 0, missing)),
            F.pad(scores, (0, missing)),
            F.pad(labels, (0, missing), value=-1),
            found.sum(1),
        )

    def _priors(self, maps: Maps) -> list[Tensor]:
        if self.levels:
            return [getattr(self, f'priors_{i}') for i in range(self.levels)]
        return self.head.priors([level.shape[-2:] for level in maps], maps[0].device)

    def _of_levels(self, outputs: Sequence[Maps]) -> tuple[Tensor, Tensor, Tensor]:
        """Of each level the best pairs of prior and class: boxes, scores, labels."""
        found = []
        for priors, logits, *maps in zip(
            self._priors(outputs[0]), *outputs, strict=True
        ):
            deltas, *factors = maps
            scores = self.head.scores(_by_prior(logits, self.head.classes))
            classes = scores.shape[-1]
            scores, index = _top(scores.flatten(1), self.nms_pre)
            scores = scores.where(scores > self.score_thr, 0.0)
            rows = index // classes
            for factor in factors:
                scores = scores * _by_prior(factor, 1)[..., 0].gather(1, rows).sigmoid()
            boxes = self.head.decode(priors[rows], _rows(_by_prior(deltas, 4), rows))
            found.append((boxes, scores, index % classes))
        return tuple(torch.cat(parts, 1) for parts in zip(*found, strict=True))

    def _refined(self, outputs: Sequence[Maps]) -> tuple[Tensor, Tensor, Tensor]:
        """RefineDet: of each class the best priors, of these the best pairs.

        There are enough to fill `max_per_img`, but for images where suppression leaves
        less than one box of ten.
        """
        widths = (2, 4, self.head.classes, 4)
        arm_cls, arm_reg, odm_cls, odm_reg = (
            torch.cat([_by_prior(level, width) for level in maps], 1)
            for maps, width in zip(outputs, widths, strict=True)
        )
        passes = arm_cls.softmax(-1)[..., :1] >= self.objectness_thr
        scores = odm_cls.softmax(-1)[..., :-1] * passes
        scores = scores.where(scores > self.score_thr, 0.0)
        classes = scores.shape[-1]
        scores, rows = _top(scores.transpose(1, 2), self.nms_pre)
        of_each = scores.shape[-1]
        scores, index = scores.flatten(1), rows.flatten(1)
        scores, pairs = scores.topk(
            min(PAIRS_PER_BOX * self.max_per_img, classes * of_each)
        )
        rows = index.gather(1, pairs)
        priors = torch.cat(self._priors(outputs[0]))[rows]
        refined = self.head.decode(priors, _rows(arm_reg, rows))
        boxes = self.head.decode(refined, _rows(odm_reg, rows))
        return boxes, scores, pairs // of_each


class Whole(nn.Module):
    """A single-stage network with its pre- or its post-processing, or both.

    Args:
        network: Images to the outputs of the head, in a flat tuple.
        pre: Makes the images.
        post: Makes detections.
        nesting: Of the head's outputs, for `post`.
    """

    def __init__(
        self,
        network: nn.Module,
        pre: Preprocess | None,
        post: Postprocess | None,
        nesting: object = None,
    ) -> None:
        super().__init__()
        self.network, self.pre, self.post, self.nesting = network, pre, post, nesting

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        size = inputs.shape[2:]
        if self.pre is not None:
            size = inputs.shape[1:3]
            inputs = self.pre(inputs)
        outputs = self.network(inputs)
        if self.post is None:
            return outputs
        return self.post(tree_unflatten(list(outputs), self.nesting)[1], size)


class _Tools:
    """What is used of a head, which is no part of the exported module."""

    def __init__(self, head: nn.Module) -> None:
        self.generator, self.coder = head.prior_generator, head.bbox_coder
        self.clips = getattr(self.coder, 'clip_border', True)
        if isinstance(head, RefineDetHead):
            self.classes = head.num_classes + 1
            return
        self.classes = head.cls_out_channels
        loss = getattr(head, 'loss_cls', None)
        if isinstance(loss, ClassLoss):
            self.scores = loss.get_activation
        elif head.use_sigmoid_cls:
            self.scores = torch.sigmoid
        else:
            self.scores = ClassLoss(use_sigmoid=False).get_activation

    def priors(self, sizes: Sequence, device: object) -> list[Tensor]:
        """Boxes ``(N, 4)`` or points ``(N, 2)`` of each level."""
        priors = self.generator.grid_priors(sizes, device=device)
        return [get_box_tensor(level) for level in priors]

    def decode(self, priors: Tensor, deltas: Tensor) -> Tensor:
        """Boxes, not clipped: ``(B, K, 4)``."""
        boxes = self.coder.decode(priors.flatten(0, 1), deltas.flatten(0, 1))
        return get_box_tensor(boxes).view_as(deltas)


def _check(head: nn.Module) -> None:
    kind, reason = type(head), None
    cfg = getattr(head, 'test_cfg', None) or {}
    nms = cfg.get('nms') or {}
    base = (BaseDenseHead.predict_by_feat, SSDHead.predict_by_feat)
    loss = getattr(head, 'loss_cls', None)
    if kind is not RefineDetHead and not (
        isinstance(head, BaseDenseHead)
        and kind.predict_by_feat in base
        and kind._predict_by_feat_single is BaseDenseHead._predict_by_feat_single
    ):
        reason = 'has its own way of making detections'
    elif kind._bbox_post_process is not BaseDenseHead._bbox_post_process:
        reason = 'has its own suppression'
    elif hasattr(loss, 'custom_cls_channels') and not isinstance(loss, ClassLoss):
        reason = f'has scores of its own ({type(loss).__name__})'
    elif nms.get('type') != 'nms' or set(nms) - NMS_SETTINGS:
        reason = f'has nms={dict(nms)} in test_cfg; expected plain nms'
    elif min(cfg.get('nms_pre', -1), cfg.get('max_per_img', -1)) < 1:
        reason = 'has no nms_pre or no max_per_img above 0 in test_cfg'
    if reason:
        raise UserError(
            f'post-processing of {kind.__name__} cannot be put into the exported file: '
            f"it {reason}. Use post='outside'"
        )


def _by_prior(level: Tensor, channels: int) -> Tensor:
    """A map ``(B, A * channels, H, W)`` as ``(B, H * W * A, channels)``, in float32."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, channels).float()


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Of ``(B, N, C)`` the rows ``(B, K)``."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


def _clip(boxes: Tensor, height: int, width: int) -> Tensor:
    x1, y1, x2, y2 = boxes.unbind(-1)
    xs, ys = (
        [v.clamp(0, width) for v in (x1, x2)],
        [v.clamp(0, height) for v in (y1, y2)],
    )
    return torch.stack((xs[0], ys[0], xs[1], ys[1]), -1)


def _top(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The best `most` along the last axis, or all where it is known to be shorter.

    An axis of varying length may be shorter: zeros are put behind it, and an index to
    one of them becomes the last true one.
    """
    length = scores.shape[-1]
    if isinstance(length, int):
        return scores.topk(min(most, length))
    scores, index = F.pad(scores, (0, most)).topk(most)
    return scores, index.clamp(max=length - 1)


@torch.library.custom_op('mmeff::suppress', mutates_args=())
def suppress(boxes: Tensor, scores: Tensor, iou_threshold: float, most: int) -> Tensor:
    """Non-maximum suppression of each image, with results of a fixed size.

    Args:
        boxes: ``(B, K, 4)``.
        scores: ``(B, K)``; 0 where there is no box.
        iou_threshold: A box is dropped when its IoU with a kept one is above this.
        most: Boxes to keep of an image, at most.

    Returns:
        The scores, 0 where a box was dropped.
    """
    kept = torch.zeros_like(scores)
    for i, row in enumerate(scores):
        index = torchvision.ops.nms(boxes[i], row, iou_threshold)[:most]
        kept[i, index] = row[index]
    return kept


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float, most: int) -> Tensor:
    return torch.empty_like(scores)


def translations() -> Mapping:
    """How `suppress` is written in ONNX: with NonMaxSuppression."""
    from onnxscript import opset18 as op

    def suppress_onnx(boxes, scores, iou_threshold: float, most: int):
        selected = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(scores, op.Constant(value_ints=[1])),
            op.Constant(value_ints=[most]),
            op.Constant(value_floats=[iou_threshold]),
            op.Constant(value_floats=[0.0]),
        )
        # its rows are image, class and box
        pairs = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)
        nothing = op.Mul(scores, op.Constant(value_float=0.0))
        return op.ScatterND(nothing, pairs, op.GatherND(scores, pairs))

    return {torch.ops.mmeff.suppress.default: suppress_onnx}


def head_outputs(network: nn.Module, images: Tensor) -> tuple[object, list[torch.Size]]:
    """How the outputs of a `split` network nest, and the sizes of the head's maps."""
    nested = network.nested(images)
    return tree_flatten(nested)[1], [level.shape[-2:] for level in nested[1][0]]
