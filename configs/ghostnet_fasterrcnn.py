# Faster R-CNN on GhostNet 1.1x (GhostNet paper, COCO, 1x, ImageNet weights: box AP 26.9).
# As it stands it learns from random weights, with BatchNorm over all devices: nobody
# publishes weights of 1.1x. timm has 1.0: widen_factor=1.0, in_channels=[24, 40, 112, 160],
# init_cfg=dict(type='Pretrained', checkpoint='timm://ghostnet_100') and norm_eval=True.
_base_ = [
    '_base_/models/faster-rcnn_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.GhostNet',
        widen_factor=1.1,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='SyncBN'),
    ),
    neck=dict(in_channels=[28, 44, 124, 176]),
)
optim_wrapper = dict(optimizer=dict(lr=0.02))
