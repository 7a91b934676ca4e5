# DSOD300 as published, DS/64-192-48-1, from scratch (published 77.7 VOC mAP).
_base_ = [
    '_base_/models/dsod300.py',
    '_base_/datasets/ssd300_voc0712.py',
    '_base_/schedules/dsod_775e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.DenseNet', arch='ds-64-192-48-1', out_indices=(1, 2)),
    neck=dict(in_channels=[800, 256], join_channels=256),
    bbox_head=dict(in_channels=[800, 512, 512, 256, 256, 256]),
)
