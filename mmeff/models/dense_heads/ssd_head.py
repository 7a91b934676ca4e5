"""The prediction head of the SSD family: SSD, SSDLite, Pelee, DSOD.

SSD, https://arxiv.org/abs/1512.02325, section 2; SSDLite,
https://arxiv.org/abs/1801.04381, section 6.2; DSOD, https://arxiv.org/abs/1708.01241,
section 3. From each map::

              ┌─ [depthwise 3x3, norm, act] ─ 1x1 or 3x3 [norm] ─ class scores
    [L2Norm] ─┤
              └─ [depthwise 3x3, norm, act] ─ 1x1 or 3x3 [norm] ─ box offsets
"""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import SSDHead as MMDetSSDHead
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F

from mmeff.models.dense_heads.multibox import (
    flatten_levels,
    match,
    multibox_loss,
    softmax_losses,
    start_from_background,
)
from mmeff.models.layers import L2Norm
from mmeff.models.layers.conv import normalisation
from mmeff.registry import MODELS

# The variances of Caffe's SSD, in mmdet's words.
BBOX_CODER = {'type': 'DeltaXYWHBBoxCoder', 'target_stds': (0.1, 0.1, 0.2, 0.2)}
INIT_CFG = {'type': 'Xavier', 'layer': 'Conv2d', 'distribution': 'uniform', 'bias': 0}


class ClassLoss:
    """Softmax or sigmoid over the classes and, in the last column, background.

    In the form in which mmdet's heads take a loss that has its own score function.

    Args:
        use_sigmoid: TensorFlow's weighted sigmoid: each column is a yes-or-no question,
            and a box without object has to answer yes in the last one.
    """

    custom_cls_channels = True  # tells mmdet's heads to ask `get_activation`

    def __init__(self, use_sigmoid: bool) -> None:
        self.use_sigmoid = use_sigmoid

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of every box, ``(B, N)``, of ``(B, N, num_classes + 1)``."""
        if not self.use_sigmoid:
            return softmax_losses(logits, labels)
        target = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
        return loss.sum(dim=-1)

    def get_activation(self, logits: Tensor) -> Tensor:
        """Scores of the classes, without background."""
        scores = logits.sigmoid() if self.use_sigmoid else logits.softmax(dim=-1)
        return scores[..., :-1]


@MODELS.register_module()
class SSDHead(MMDetSSDHead):
    """Head that predicts classes and boxes of all priors, of each map by itself.

    Input: as many maps ``(B, in_channels[i], H[i], W[i])`` as the generator has levels;
    output two lists of ``(B, priors in a cell * (num_classes + 1), H[i], W[i])`` and
    ``(B, priors in a cell * 4, H[i], W[i])``. Tensors are named as in mmdet's SSDHead.

    Unlike mmdet's it has the forms of the papers that came after SSD, computes the loss
    of the whole batch at once, in which every prior takes part whatever the padding, and
    decodes in float32 whatever the precision of the network.

    Args:
        num_classes: Without background.
        in_channels: Of the maps.
        anchor_generator: Such as `PriorBoxGenerator`.
        kernel_size: Of the prediction convolutions, 3 or 1. With `use_depthwise` that of
            the depthwise ones.
        use_depthwise: SSDLite: a depthwise convolution with norm and activation, then
            1x1.
        l2_norm_scale: Normalise every map over its channels, with learned scales that
            start here; DSOD has 20.
        pred_norm_cfg: Norm after the prediction convolutions, in place of their biases.
        use_sigmoid: See `ClassLoss`.
        prior_prob: The chance of an object that every prior starts with; by default
            biases start at 0, as in the papers.
        norm_cfg, act_cfg: Of the depthwise convolutions; BN and ReLU6 by default.
        bbox_coder: `BBOX_CODER` by default.
        train_cfg: `assigner`; `neg_pos_ratio`, background boxes that an image learns
            from, for each matched prior; `min_negatives`, 0 by default, of such boxes
            even where nothing matched; `smoothl1_beta`.
        test_cfg: As in mmdet.
        init_cfg: Xavier by default.

    Raises:
        ValueError: Another `kernel_size`, or `in_channels` and `anchor_generator` are for
            different numbers of maps.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        anchor_generator: dict,
        kernel_size: int = 3,
        use_depthwise: bool = False,
        l2_norm_scale: float | None = None,
        pred_norm_cfg: dict | None = None,
        use_sigmoid: bool = False,
        prior_prob: float | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        bbox_coder: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            num_classes,
            in_channels,
            use_depthwise=use_depthwise,
            norm_cfg=norm_cfg or {'type': 'BN'},
            act_cfg=act_cfg or {'type': 'ReLU6'},
            anchor_generator=anchor_generator,
            bbox_coder=bbox_coder or BBOX_CODER,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg or INIT_CFG,
        )
        _check(kernel_size, in_channels, self.num_base_priors)
        self.kernel_size = kernel_size
        self.pred_norm_cfg = pred_norm_cfg
        self.prior_prob = prior_prob
        self.loss_cls = ClassLoss(use_sigmoid)
        self.l2_norms = None
        if l2_norm_scale is not None:
            self.l2_norms = nn.ModuleList(
                L2Norm(channels, l2_norm_scale) for channels in in_channels
            )
        levels = list(zip(in_channels, self.num_base_priors, strict=True))
        self.cls_convs = nn.ModuleList(
            self._predictor(channels, priors * self.cls_out_channels)
            for channels, priors in levels
        )
        self.reg_convs = nn.ModuleList(
            self._predictor(channels, priors * 4) for channels, priors in levels
        )

    def _init_layers(self) -> None:
        """mmdet's constructor calls this before it is known what to build."""

    def _predictor(self, in_channels: int, out_channels: int) -> nn.Sequential:
        layers, size = [], self.kernel_size
        if self.use_depthwise:
            layers.append(  # for mmdet's names of its tensors
                ConvModule(
                    in_channels,
                    in_channels,
                    size,
                    padding=size // 2,
                    groups=in_channels,
                    norm_cfg=self.norm_cfg,
                    act_cfg=self.act_cfg,
                )
            )
            size = 1
        bias = self.pred_norm_cfg is None
        layers.append(
            nn.Conv2d(in_channels, out_channels, size, padding=size // 2, bias=bias)
        )
        if not bias:
            layers.append(normalisation(self.pred_norm_cfg, out_channels))
        return nn.Sequential(*layers)

    def init_weights(self) -> None:
        super().init_weights()
        last = [predictor[-1] for predictor in self.cls_convs]
        sigmoid = self.loss_cls.use_sigmoid
        start_from_background(last, self.num_classes, self.prior_prob, sigmoid)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        if self.l2_norms is not None:
            x = [norm(level) for norm, level in zip(self.l2_norms, x, strict=True)]
        scores = [conv(level) for conv, level in zip(self.cls_convs, x, strict=True)]
        offsets = [conv(level) for conv, level in zip(self.reg_convs, x, strict=True)]
        return scores, offsets

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """SSD's section 2.2; see `multibox_loss`."""
        cfg = self.train_cfg
        labels, offsets = self._match(cls_scores, batch_gt_instances)
        logits = flatten_levels(cls_scores, self.cls_out_channels)
        loss_cls, loss_bbox = multibox_loss(
            self.loss_cls(logits, labels.clamp(min=0)),
            flatten_levels(bbox_preds, 4),
            labels,
            offsets,
            self.num_classes,
            cfg['neg_pos_ratio'],
            cfg.get('min_negatives', 0),
            cfg['smoothl1_beta'],
        )
        return {'loss_cls': loss_cls, 'loss_bbox': loss_bbox}

    def _match(
        self, maps: list[Tensor], batch_gt_instances: list[InstanceData]
    ) -> tuple[Tensor, Tensor]:
        """Labels ``(B, N)`` and offsets ``(B, N, 4)`` that the priors should learn."""
        sizes = [level.shape[-2:] for level in maps]
        priors = torch.cat(
            self.prior_generator.grid_priors(sizes, device=maps[0].device)
        )
        return match(
            self.assigner,
            priors.expand(len(maps[0]), *priors.shape),
            batch_gt_instances,
            self.num_classes,
            self.bbox_coder,
        )

    def predict_by_feat(
        self, cls_scores: list[Tensor], bbox_preds: list[Tensor], *args, **kwargs
    ) -> list[InstanceData]:
        """As in mmdet, in float32: half precision would shift boxes by pixels."""
        cls_scores = [level.float() for level in cls_scores]
        bbox_preds = [level.float() for level in bbox_preds]
        return super().predict_by_feat(cls_scores, bbox_preds, *args, **kwargs)


def _check(
    kernel_size: int, in_channels: Sequence[int], num_base_priors: list[int]
) -> None:
    if kernel_size not in (1, 3):
        raise ValueError(f'kernel_size={kernel_size!r}: expected 1 or 3')
    if len(in_channels) != len(num_base_priors):
        raise ValueError(
            f'in_channels={tuple(in_channels)} are {len(in_channels)} maps, but '
            f'anchor_generator makes priors for {len(num_base_priors)}'
        )
