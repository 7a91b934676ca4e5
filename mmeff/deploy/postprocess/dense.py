"""From the maps of a dense head to detections, touching only what can be detected.

mmdet turns the logits of all classes at all priors into scores and keeps the few above
`score_thr`. Here one pass over the logits, as the network puts them out, finds the priors
that may have such a class; these rows then go through what mmdet does with all of them,
so that the detections are the same::

    logits of each level -> best class of each prior -> may be above the threshold?
    logits of these priors -> scores -> those above it -> boxes -> suppression

Where there are no more than `FEW` logits, fewer steps count for more than less arithmetic:
the scores of all priors are computed, of all levels at once.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmeff.models.dense_heads import SSDHead
from mmeff.models.dense_heads.candidates import best_of_each
from mmeff.models.dense_heads.ssd_head import ClassLoss

FEW = 2**16  # logits of a batch: on a CPU 32 thousand gain by it, 164 thousand lose
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
        self.sizes: tuple | None = None
        self.layout: _Layout | None = None

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
        layout, batch = self._layout(cls_scores), len(batch_img_metas)
        images, rows, labels, scores = self._above(cls_scores, cfg.get('score_thr', 0))
        if len(scores) > cfg['nms_pre']:
            groups = layout.levels[rows] * batch + images
            kept = best_of_each(scores, groups, cfg['nms_pre'])
            images, rows, labels, scores = (
                values[kept] for values in (images, rows, labels, scores)
            )
        maps = {'deltas': bbox_preds}
        if score_factors is not None:
            maps['score_factors'] = score_factors
        found = {name: layout.read(level, images, rows) for name, level in maps.items()}
        found |= {'scores': scores, 'labels': labels, 'priors': layout.priors[rows]}
        results = []
        for i, meta in enumerate(batch_img_metas):
            own = found
            if batch > 1:
                own = {name: values[images == i] for name, values in found.items()}
            results.append(
                self.head._bbox_post_process(
                    self._boxes(own, meta), cfg, rescale, with_nms, meta
                )
            )
        return results

    def _above(self, cls_scores: Maps, thr: float) -> tuple[Tensor, ...]:
        """Every class of every prior that is above the threshold, as mmdet orders them.

        Returns:
            The image, the prior, the label and the score of each, ``(M,)``.
        """
        if sum(level.numel() for level in cls_scores) <= FEW:
            scores = self.scores(self.layout.table(cls_scores).float())
            images, rows, labels = (scores > thr).nonzero(as_tuple=True)
            return images, rows, labels, scores[images, rows, labels]
        images, rows = self._may_be(cls_scores, thr).nonzero(as_tuple=True)
        scores = self.scores(self.layout.read(cls_scores, images, rows).float())
        index, labels = (scores > thr).nonzero(as_tuple=True)
        return images[index], rows[index], labels, scores[index, labels]

    def _may_be(self, cls_scores: Maps, thr: float) -> Tensor:
        """Whether a prior may have a class above the threshold, ``(B, N)``."""
        layout = self.layout
        best = torch.cat([self._best(level) for level in layout.split(cls_scores)], 1)
        return ~(best[:, layout.order] <= _logit(CERTAIN * thr))

    def _best(self, logits: Tensor) -> Tensor:
        """An upper bound of each prior's logits, ``(B, A * H * W)``.

        More exactly, a number whose sigmoid no score exceeds: a softmax over two classes
        or more gives a class less than the one over itself and the background.

        Args:
            logits: ``(B, A, classes, H * W)``.
        """
        if self.has_background:
            best = logits[:, :, :-1].amax(2)
            if self.is_softmax:
                best = best.float() - logits[:, :, -1]
        else:
            best = logits.amax(2)
        return best.flatten(1)

    def _layout(self, maps: Maps) -> '_Layout':
        sizes, device = [level.shape[-2:] for level in maps], maps[0].device
        if self.layout is None or self.sizes != (sizes, device):
            priors = self.head.prior_generator.grid_priors(sizes, device=device)
            self.layout = _Layout(list(map(get_box_tensor, priors)), sizes)
            self.sizes = sizes, device
        return self.layout

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


class _Layout:
    """Where the numbers of each prior lie in the maps of a head, all levels at once.

    mmdet orders priors by level, cell and then by the A of a cell; a map
    ``(B, A * channels, H, W)`` has the cells last.

    Args:
        priors: Of each level boxes ``(H * W * A, 4)`` or points ``(H * W * A, 2)``.
        sizes: Of each level height and width.

    Attributes:
        priors: ``(N, 4)`` or ``(N, 2)``.
        levels: The level of each, ``(N,)``.
        order: Its place if the A of a cell came before the cells, ``(N,)``.
    """

    def __init__(self, priors: Sequence[Tensor], sizes: Sequence[torch.Size]) -> None:
        self.priors = torch.cat(list(priors))
        device, order, cells, areas, levels = self.priors.device, [], [], [], []
        start = 0
        for level, (boxes, size) in enumerate(zip(priors, sizes, strict=True)):
            area, count = size.numel(), len(boxes)
            places = torch.arange(count, device=device).view(-1, area).T.flatten()
            order.append(start + places)
            cells.append(places % area)
            areas.append(torch.full_like(places, area))
            levels.append(torch.full_like(places, level))
            start += count
        self.counts = [
            len(boxes) // size.numel()
            for boxes, size in zip(priors, sizes, strict=True)
        ]
        self.order, self.cells = torch.cat(order), torch.cat(cells)
        self.areas, self.levels = torch.cat(areas), torch.cat(levels)
        self.places: dict[int, Tensor] = {}

    def split(self, maps: Maps) -> Iterator[Tensor]:
        """Views of the maps, ``(B, A, channels of one prior, H * W)``."""
        for level, count in zip(maps, self.counts, strict=True):
            yield level.reshape(len(level), count, -1, level[0, 0].numel())

    def table(self, maps: Maps) -> Tensor:
        """What is there for all priors, ``(B, N, channels of one prior)``."""
        flat = torch.cat([level.flatten(1) for level in maps], 1)
        batch, channels = len(flat), flat.shape[1] // len(self.order)
        if channels not in self.places:
            self.places[channels] = self._places(slice(None), channels).flatten()
        return flat.index_select(1, self.places[channels]).view(batch, -1, channels)

    def read(self, maps: Maps, images: Tensor, rows: Tensor) -> Tensor:
        """What is there for some priors, ``(M, channels of one prior)``.

        Args:
            maps: Of each level.
            images, rows: The image in the batch and the prior of each, ``(M,)``.
        """
        flat = torch.cat([level.flatten(1) for level in maps], 1)
        channels = flat.shape[1] // len(self.order)
        return flat.take(
            self._places(rows, channels) + (images * flat.shape[1])[:, None]
        )

    def _places(self, rows: Tensor | slice, channels: int) -> Tensor:
        """Where some priors have their channels in the maps of an image, one by one."""
        cells = self.cells[rows]
        first = (self.order[rows] - cells) * channels + cells
        steps = torch.arange(channels, device=cells.device)
        return first[:, None] + self.areas[rows][:, None] * steps


def _logit(score: float) -> float:
    if score <= 0:
        return -math.inf
    return math.log(score / (1 - score)) if score < 1 else math.inf
