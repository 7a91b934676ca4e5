"""From the maps of a dense head to detections, touching only what can be detected.

mmdet turns the logits of all classes at all priors into scores and keeps the few above
`score_thr`. Here one pass over the logits, as the network puts them out, finds the priors
that may have such a class; these rows then go through what mmdet does with all of them,
so that the detections are the same::

    logits of each level -> best class of each prior -> may be above the threshold?
    logits of these priors -> scores -> those above it -> boxes -> suppression
"""

import math
from collections.abc import Sequence

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmeff.models.dense_heads import SSDHead
from mmeff.models.dense_heads.candidates import best_of_each
from mmeff.models.dense_heads.ssd_head import ClassLoss

CERTAIN = 0.99  # of the threshold: no rounding lifts a score from below this over it

Maps = Sequence[Tensor]
Rows = dict[str, Tensor]


def speed_up_dense(head: nn.Module) -> None:
    """Give a head a faster `predict_by_feat`, if it predicts as `BaseDenseHead` does."""
    if _predicts_as_base(head):
        head.predict_by_feat = DensePostprocess(head)


def _predicts_as_base(head: nn.Module) -> bool:
    """Whether the detections are those of mmdet's code for all dense heads.

    Left out are class scores of the user's own and `nms_pre` below 0, with which mmdet
    loses the last candidate of each level.
    """
    if not isinstance(head, BaseDenseHead):
        return False
    kind, loss = type(head), getattr(head, 'loss_cls', None)
    return (
        kind.predict_by_feat in (BaseDenseHead.predict_by_feat, SSDHead.predict_by_feat)
        and kind._predict_by_feat_single is BaseDenseHead._predict_by_feat_single
        and (isinstance(loss, ClassLoss) or not hasattr(loss, 'custom_cls_channels'))
        and head.test_cfg.get('nms_pre', -1) >= 0
    )


class DensePostprocess:
    """`predict_by_feat` of one head.

    Args:
        head: Its `bbox_coder` decodes and its `_bbox_post_process` suppresses boxes.
    """

    def __init__(self, head: BaseDenseHead) -> None:
        self.head = head
        loss = head.loss_cls
        if not isinstance(loss, ClassLoss) and not head.use_sigmoid_cls:
            loss = ClassLoss(use_sigmoid=False)  # that is mmdet's softmax
        self.has_background = isinstance(loss, ClassLoss)
        self.is_softmax = self.has_background and not loss.use_sigmoid
        self.scores = loss.get_activation if self.has_background else torch.sigmoid
        self.sizes: list[torch.Size] = []
        self.priors: list[Tensor] = []

    @torch.no_grad()
    def __call__(
        self,
        cls_scores: Maps,
        bbox_preds: Maps,
        score_factors: Maps | None = None,
        batch_img_metas: Sequence[dict] | None = None,
        cfg: ConfigDict | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Detections of each image: `bboxes` in pixels, `scores`, `labels`.

        Args:
            cls_scores: Logits of each level, ``(B, A * classes, H, W)``, for A priors
                in a cell.
            bbox_preds: ``(B, A * 4, H, W)``.
            score_factors: Logits of what scores are multiplied by, ``(B, A, H, W)``.
            batch_img_metas: Of each image its `img_shape` and `scale_factor`.
            cfg: By default `test_cfg` of the head.
            rescale: Boxes are for the original image.
            with_nms: Overlapping boxes are suppressed.
        """
        cfg = cfg or self.head.test_cfg
        maps = {'deltas': bbox_preds}
        if score_factors is not None:
            maps['score_factors'] = score_factors
        found = self._candidates(cls_scores, maps, cfg.get('score_thr', 0))
        if len(found['scores']) > cfg['nms_pre']:
            kept = best_of_each(found['scores'], found['groups'], cfg['nms_pre'])
            found = _take(found, kept)
        images = found.pop('groups') % len(batch_img_metas)
        results = []
        for i, meta in enumerate(batch_img_metas):
            own = _take(found, images == i) if len(batch_img_metas) > 1 else found
            results.append(
                self.head._bbox_post_process(
                    self._boxes(own, meta), cfg, rescale, with_nms, meta
                )
            )
        return results

    def _candidates(self, cls_scores: Maps, maps: dict[str, Maps], thr: float) -> Rows:
        """Every class of every prior that is above the threshold, by level and image."""
        rows = self._rows(cls_scores, maps, thr)
        scores = self.scores(rows.pop('logits').float())
        index, labels = (scores > thr).nonzero(as_tuple=True)
        found = _take(rows, index)
        return {**found, 'scores': scores[index, labels], 'labels': labels}

    def _rows(self, cls_scores: Maps, maps: dict[str, Maps], thr: float) -> Rows:
        """Priors of which a class may be above the threshold, ordered as in mmdet.

        Returns:
            Of each its `logits`, its box or point as `priors`, what is there in each of
            the `maps`, and in `groups` its level times the batch's images plus its image.
        """
        lowest, found = _logit(CERTAIN * thr), []
        for i, priors in enumerate(self._priors(cls_scores)):
            logits = _by_prior(cls_scores[i], priors)
            where = (~(self._best(logits) <= lowest)).nonzero(as_tuple=True)
            rows = {
                name: _by_prior(level[i], priors).permute(0, 3, 4, 1, 2)[where]
                for name, level in maps.items()
            }
            rows['logits'] = logits.permute(0, 3, 4, 1, 2)[where]
            rows['priors'] = priors[where[1:]]
            rows['groups'] = where[0] + i * len(cls_scores[i])
            found.append(rows)
        return {name: torch.cat([rows[name] for rows in found]) for name in found[0]}

    def _best(self, logits: Tensor) -> Tensor:
        """An upper bound of each prior's logits, ``(B, H, W, A)``.

        More exactly, a number whose sigmoid no score exceeds: a softmax over two classes
        or more gives a class less than the one over itself and the background.
        """
        if self.has_background:
            classes, background = logits[:, :, :-1], logits[:, :, -1]
            best = classes.amax(2)
            if self.is_softmax:
                best = best.float() - background
        else:
            best = logits.amax(2)
        return best.permute(0, 2, 3, 1)

    def _priors(self, maps: Maps) -> list[Tensor]:
        """Of each level boxes ``(H, W, A, 4)`` or points ``(H, W, A, 2)``."""
        sizes = [level.shape[-2:] for level in maps]
        if sizes != self.sizes or self.priors[0].device != maps[0].device:
            priors = self.head.prior_generator.grid_priors(sizes, device=maps[0].device)
            self.priors = [
                boxes.view(*size, -1, boxes.shape[-1])
                for boxes, size in zip(map(get_box_tensor, priors), sizes, strict=True)
            ]
            self.sizes = sizes
        return self.priors

    def _boxes(self, found: Rows, meta: dict) -> InstanceData:
        """What enters the suppression of one image."""
        results = InstanceData(
            bboxes=self.head.bbox_coder.decode(
                found['priors'], found['deltas'].float(), max_shape=meta['img_shape']
            ),
            scores=found['scores'],
            labels=found['labels'],
        )
        if 'score_factors' in found:
            results.score_factors = found['score_factors'].flatten().sigmoid()
        return results


def _by_prior(level: Tensor, priors: Tensor) -> Tensor:
    """A view of a map with A priors in a cell, ``(B, A, channels of one prior, H, W)``."""
    return level.unflatten(1, (priors.shape[2], -1))


def _take(rows: Rows, index: Tensor) -> Rows:
    return {name: values[index] for name, values in rows.items()}


def _logit(score: float) -> float:
    if score <= 0:
        return -math.inf
    return math.log(score / (1 - score)) if score < 1 else math.inf
