# RetinaNet on GhostNet 1.1x, the width of the paper's detectors (COCO, 1x: box AP 26.6).
# timm has weights of 1.0 only: with widen_factor=1.0 say in_channels=[40, 112, 160] and
# init_cfg=dict(type='Pretrained', checkpoint='timm://ghostnet_100') in the backbone.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.GhostNet', widen_factor=1.1, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[44, 124, 176]),
)
