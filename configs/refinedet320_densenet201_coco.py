# RefineDet320 on DenseNet-201 (VoVNet paper, Table 4: published COCO AP 32.5).
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.DenseNet', arch='201', form='caffe', out_indices=(1, 2, 3)
    ),
    neck=dict(in_channels=[256, 896, 1920]),
    bbox_head=dict(in_channels=[256, 896, 1920, 512]),
)
