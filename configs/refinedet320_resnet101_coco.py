# RefineDet320 on ResNet-101 (RefineDet paper and VoVNet paper, Table 4: published
# COCO AP 32.0).
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.CaffeResNet', depth=101, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[512, 1024, 2048]),
    bbox_head=dict(in_channels=[512, 1024, 2048, 512]),
)
