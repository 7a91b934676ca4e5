# Faster R-CNN on MobileNetV3-Large (GhostNet paper, COCO, 1x, ImageNet weights: box AP
# 26.9). As it stands it learns from random weights, with BatchNorm over all devices. To
# start from ImageNet say
#   init_cfg=dict(type='Pretrained', checkpoint='torchvision://mobilenet_v3_large'),
#   norm_eval=True
# in the backbone.
_base_ = [
    '_base_/models/faster-rcnn_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.MobileNetV3',
        arch='large',
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='SyncBN'),
    ),
    neck=dict(in_channels=[24, 40, 112, 160]),
)
optim_wrapper = dict(optimizer=dict(lr=0.02))
