# RetinaNet on G-Ghost RegNetX-3.2GF, the lightest one with published ImageNet weights.
# With them say norm_eval=True too; BatchNorm of the mix is weak on small batches, see
# docs/g_ghost_regnet.md. The paper's own detectors are not published.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.GGhostRegNet', arch='032', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[192, 432, 1008]),
)
