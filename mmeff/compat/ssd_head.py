"""`SSDHead` cannot predict.

Why: `AnchorHead.predict_by_feat` reads `self.loss_cls`, which `SSDHead` never sets:
`AttributeError: 'SSDHead' object has no attribute 'loss_cls'`.
Upstream: https://github.com/open-mmlab/mmdetection/issues/11780, pull 11524 (unmerged).
Delete when: a stock SSD config of mmdet predicts.
"""


def apply(module) -> None:
    # None makes `getattr(self.loss_cls, 'custom_cls_channels', False)` false.
    module.SSDHead.loss_cls = None
