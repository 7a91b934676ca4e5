"""RefineDet's head: boxes are refined once without, and once with their class.

https://arxiv.org/abs/1711.06897. The anchor refinement module (ARM) tells objects from
background and moves the anchors; the object detection module (ODM) classifies and moves
the refined anchors once more (section 3, *Two-Step Cascaded Regression*).
"""

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules.assigners import BaseAssigner
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmeff.models.dense_heads.candidates import best_of_each
from mmeff.models.dense_heads.multibox import (
    flatten_levels,
    match,
    multibox_loss,
    softmax_losses,
    start_from_background,
)
from mmeff.models.layers import ProjectionBottleneck
from mmeff.registry import MODELS, TASK_UTILS

INTER_WIDTHS = (256, 1024)  # of the 1x1 and 3x3, and what the block puts out
# Squares of 4 strides, and 2:1 and 1:2 of the same area.
ANCHORS = {
    'type': 'mmeff.PriorBoxGenerator',
    'strides': [8, 16, 32, 64],
    'min_sizes': [32, 64, 128, 256],
    'max_sizes': None,
    'ratios': [[2], [2], [2], [2]],
}
BBOX_CODER = {'type': 'DeltaXYWHBBoxCoder', 'target_stds': (0.1, 0.1, 0.2, 0.2)}
PREDICTIONS = ('arm_cls', 'arm_reg', 'odm_cls', 'odm_reg')
# As the authors fill their layers: Xavier, but small Gaussians before a norm.
DEFAULT_INIT_CFG = [
    {'type': 'Normal', 'std': 0.01, 'layer': 'Conv2d'},
    {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    {
        'type': 'Xavier',
        'distribution': 'uniform',
        'override': [{'name': name} for name in PREDICTIONS],
    },
]


@MODELS.register_module()
class RefineDetHead(BaseDenseHead):
    """ARM and ODM: forward, loss and detections.

    Reads what `TransferConnection` puts out: L maps for the ARM, then L maps of the same
    sizes for the ODM. For each of the A anchors in a cell both predict 4 offsets; the ARM
    scores object and background (in this order), the ODM `num_classes` classes and, as
    last one, background.

    Args:
        num_classes: Without background.
        in_channels: Of the ARM's maps, one for each level.
        feat_channels: Of the ODM's maps.
        with_inter: Put a residual bottleneck before the predictions of every map, as
            the authors do for ResNet and VoVNet, not for VGG.
        objectness_thr: Anchors that the ARM gives less are no negatives for the ODM
            (its positives stay), and are not detected: the paper's negative anchor
            filtering, theta.
        prior_prob: The chance of an object that the ODM starts with at every anchor; by
            default biases start at 0, as the authors'.
        norm_cfg, act_cfg: Of the bottlenecks; BatchNorm and ReLU by default.
        anchor_generator: By default the paper's, `ANCHORS`.
        bbox_coder: Of both steps.
        train_cfg: ``arm`` and ``odm`` with an `assigner` each, `neg_pos_ratio`.
        test_cfg: `score_thr`; `nms_pre`, candidates of a class; `nms`; `max_per_img`.
        init_cfg: By default that of the authors.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        feat_channels: int = 256,
        with_inter: bool = True,
        objectness_thr: float = 0.01,
        prior_prob: float | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        anchor_generator: dict | None = None,
        bbox_coder: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT_CFG)
        self.num_classes = num_classes
        self.in_channels = tuple(in_channels)
        self.objectness_thr = objectness_thr
        self.prior_prob = prior_prob
        self.prior_generator = TASK_UTILS.build(anchor_generator or ANCHORS)
        self.bbox_coder = TASK_UTILS.build(bbox_coder or BBOX_CODER)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        if train_cfg:
            self.arm_assigner = TASK_UTILS.build(train_cfg['arm']['assigner'])
            self.odm_assigner = TASK_UTILS.build(train_cfg['odm']['assigner'])
        layers = {
            'norm_cfg': norm_cfg or {'type': 'BN'},
            'act_cfg': act_cfg or {'type': 'ReLU'},
        }
        odm_channels = (feat_channels,) * len(self.in_channels)
        build = self._build_predictions
        self.arm_inter, widths = _build_inter(self.in_channels, with_inter, layers)
        self.arm_cls, self.arm_reg = build(widths, 2), build(widths, 4)
        self.odm_inter, widths = _build_inter(odm_channels, with_inter, layers)
        self.odm_cls, self.odm_reg = build(widths, num_classes + 1), build(widths, 4)

    def _build_predictions(self, widths: Sequence[int], outputs: int) -> nn.ModuleList:
        anchors = self.prior_generator.num_base_priors
        return nn.ModuleList(
            nn.Conv2d(width, count * outputs, 3, padding=1)
            for width, count in zip(widths, anchors, strict=True)
        )

    def init_weights(self) -> None:
        super().init_weights()
        start_from_background(self.odm_cls, self.num_classes, self.prior_prob)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predictions of each level as convolutions put them out.

        Returns:
            `arm_cls_scores` ``(B, 2 A, H, W)``, `arm_bbox_preds` ``(B, 4 A, H, W)``,
            `odm_cls_scores` ``(B, (num_classes + 1) A, H, W)`` and `odm_bbox_preds`
            ``(B, 4 A, H, W)``, a list each.
        """
        levels = len(self.in_channels)
        arm = [m(f) for m, f in zip(self.arm_inter, x[:levels], strict=True)]
        odm = [m(f) for m, f in zip(self.odm_inter, x[levels:], strict=True)]
        return (
            [conv(f) for conv, f in zip(self.arm_cls, arm, strict=True)],
            [conv(f) for conv, f in zip(self.arm_reg, arm, strict=True)],
            [conv(f) for conv, f in zip(self.odm_cls, odm, strict=True)],
            [conv(f) for conv, f in zip(self.odm_reg, odm, strict=True)],
        )

    def loss_by_feat(
        self,
        arm_cls_scores: list[Tensor],
        arm_bbox_preds: list[Tensor],
        odm_cls_scores: list[Tensor],
        odm_bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """Section 3, *Loss*: that of SSD twice, each over the matches of its step.

        Args as `forward` returns them, and the objects of each image.
        """
        arm_cls, arm_reg, odm_cls, odm_reg = self._flatten(
            arm_cls_scores, arm_bbox_preds, odm_cls_scores, odm_bbox_preds
        )
        priors = self._priors(arm_cls_scores)
        refined = self._refine(priors, arm_reg.detach())
        objects = [
            InstanceData(bboxes=gt.bboxes, labels=torch.zeros_like(gt.labels))
            for gt in batch_gt_instances
        ]
        arm = self._step_loss(self.arm_assigner, priors, objects, 1, arm_cls, arm_reg)
        gts, eligible = batch_gt_instances, self._passes(arm_cls)
        odm = self._step_loss(
            self.odm_assigner,
            refined,
            gts,
            self.num_classes,
            odm_cls,
            odm_reg,
            eligible,
        )
        names = ('loss_arm_cls', 'loss_arm_bbox', 'loss_odm_cls', 'loss_odm_bbox')
        return dict(zip(names, (*arm, *odm), strict=True))

    def _step_loss(
        self,
        assigner: BaseAssigner,
        priors: Tensor,
        objects: list[InstanceData],
        num_classes: int,
        logits: Tensor,
        offsets: Tensor,
        eligible: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Class loss and box loss of the ARM or the ODM; see `multibox_loss`."""
        labels, targets = match(assigner, priors, objects, num_classes, self.bbox_coder)
        return multibox_loss(
            softmax_losses(logits, labels.clamp(min=0)),
            offsets,
            labels,
            targets,
            num_classes,
            self.train_cfg['neg_pos_ratio'],
            eligible=eligible,
        )

    @torch.no_grad()
    def predict_by_feat(
        self,
        arm_cls_scores: list[Tensor],
        arm_bbox_preds: list[Tensor],
        odm_cls_scores: list[Tensor],
        odm_bbox_preds: list[Tensor],
        batch_img_metas: list[dict],
        cfg: ConfigDict | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Detections of each image: `bboxes` in pixels, `scores`, `labels`.

        Args as `forward` returns them; the rest as of mmdet's heads.
        """
        cfg = cfg or self.test_cfg
        arm_cls, arm_reg, odm_cls, odm_reg = self._flatten(
            arm_cls_scores, arm_bbox_preds, odm_cls_scores, odm_bbox_preds
        )
        priors, coder = self._priors(arm_cls_scores), self.bbox_coder
        results = []
        for i, meta in enumerate(batch_img_metas):
            rows = self._passes(arm_cls[i]).nonzero().squeeze(1)
            found = _select(odm_cls[i, rows], cfg['score_thr'], cfg['nms_pre'])
            rows = rows[found.pop('rows')]
            refined = coder.decode(priors[i, rows], arm_reg[i, rows])
            found.bboxes = coder.decode(
                refined, odm_reg[i, rows], max_shape=meta['img_shape']
            )
            results.append(self._bbox_post_process(found, cfg, rescale, with_nms, meta))
        return results

    def _flatten(self, *outputs: list[Tensor]) -> tuple[Tensor, ...]:
        """What `forward` returns, with all levels in one ``(B, N, numbers)`` each."""
        widths = (2, 4, self.num_classes + 1, 4)
        return tuple(map(flatten_levels, outputs, widths))

    def _priors(self, maps: list[Tensor]) -> Tensor:
        """Anchors of every image, ``(B, N, 4)``."""
        sizes = [x.shape[-2:] for x in maps]
        priors = self.prior_generator.grid_priors(sizes, device=maps[0].device)
        return torch.cat(priors).expand(len(maps[0]), -1, -1)

    def _refine(self, priors: Tensor, offsets: Tensor) -> Tensor:
        """Anchors as the ARM moves them, not clipped: ``(B, N, 4)``."""
        boxes = self.bbox_coder.decode(priors.flatten(0, 1), offsets.flatten(0, 1))
        return boxes.view_as(offsets)

    def _passes(self, arm_cls: Tensor) -> Tensor:
        """Which anchors the filter lets through, ``(..., N)``."""
        return arm_cls.detach().softmax(-1)[..., 0] >= self.objectness_thr


def _build_inter(
    channels: Sequence[int], with_inter: bool, layers: dict
) -> tuple[nn.ModuleList, Sequence[int]]:
    """A bottleneck for each level, or what leaves maps alone; and their widths."""
    if not with_inter:
        return nn.ModuleList(nn.Identity() for _ in channels), channels
    blocks = (ProjectionBottleneck(c, *INTER_WIDTHS, **layers) for c in channels)
    return nn.ModuleList(blocks), (INTER_WIDTHS[-1],) * len(channels)


def _select(logits: Tensor, threshold: float, most: int) -> InstanceData:
    """What enters the suppression: of each class the best `most` over the threshold.

    Args:
        logits: ``(N, num_classes + 1)``.

    Returns:
        `scores`, `labels` and the `rows` that they are from.
    """
    scores = logits.softmax(-1)[:, :-1]
    rows, labels = (scores > threshold).nonzero(as_tuple=True)
    scores = scores[rows, labels]
    keep = best_of_each(scores, labels, most)
    return InstanceData(scores=scores[keep], labels=labels[keep], rows=rows[keep])
