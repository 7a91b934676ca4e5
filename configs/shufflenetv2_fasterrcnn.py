# Faster R-CNN on ShuffleNetV2 1.0x. The paper's detector is Light-Head R-CNN (box AP 29.0).
# As it stands it learns from random weights, with BatchNorm over all devices. torchvision's
# weights want form='torchvision', norm_eval=True and
# init_cfg=dict(type='Pretrained', checkpoint='torchvision://shufflenet_v2_x1_0').
_base_ = [
    '_base_/models/faster-rcnn_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.ShuffleNetV2',
        arch='1.0',
        form='megvii',
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='SyncBN'),
    ),
    neck=dict(in_channels=[24, 116, 232, 464]),
)
optim_wrapper = dict(optimizer=dict(lr=0.02))
