# Faster R-CNN on EfficientNet-B0; no published detector to stand beside. As it stands it
# learns from random weights, with BatchNorm over all devices. To start from ImageNet say
# init_cfg=dict(type='Pretrained', checkpoint='timm://efficientnet_b0') and norm_eval=True in
# the backbone.
_base_ = [
    '_base_/models/faster-rcnn_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.EfficientNet',
        arch='b0',
        form='torch',
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='SyncBN'),
    ),
    neck=dict(in_channels=[24, 40, 112, 320]),
)
optim_wrapper = dict(optimizer=dict(lr=0.02))
