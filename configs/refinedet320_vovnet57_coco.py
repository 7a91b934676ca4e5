# RefineDet320 on VoVNet-57 (VoVNet paper, Table 4: published COCO AP 33.9).
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.VoVNet', arch='57', form='caffe', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[512, 768, 1024]),
    bbox_head=dict(in_channels=[512, 768, 1024, 512]),
)
