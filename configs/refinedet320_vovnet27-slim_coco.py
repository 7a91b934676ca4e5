# RefineDet320 for small machines, not from a paper: on VoVNet-27-slim, with maps of 128
# channels and without the residual blocks before the predictions, as RefineDet has it on
# VGG. 7.4 G multiply-adds with three classes, where VoVNet-39 has 32.6 G.
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.VoVNet', arch='27-slim', form='caffe', out_indices=(1, 2, 3)
    ),
    neck=dict(in_channels=[256, 384, 512], out_channels=128),
    bbox_head=dict(
        in_channels=[256, 384, 512, 512], feat_channels=128, with_inter=False
    ),
)
