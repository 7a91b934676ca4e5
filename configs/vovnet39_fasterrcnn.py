# Faster R-CNN, VoVNet-39, COCO 2x; the authors' with ImageNet weights and fixed BatchNorm:
# box AP 39.8. As it stands it learns from random weights, with BatchNorm over all devices.
# With the authors' vovnet39_statedict_norm.pth, a file made for these means, say
#   init_cfg=dict(type='Pretrained', checkpoint=FILE), norm_eval=True
# in the backbone.
_base_ = [
    '_base_/models/faster-rcnn_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_2x.py',
    '_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(
        mean=[102.9801, 115.9465, 122.7717], std=[1.0, 1.0, 1.0], bgr_to_rgb=False
    ),
    backbone=dict(
        type='mmeff.VoVNet',
        arch='39',
        form='pytorch',
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='SyncBN'),
    ),
    neck=dict(in_channels=[256, 512, 768, 1024]),
)
