# RetinaNet on MobileNetV1. Images are scaled as timm's weights want them; to start from
# those say init_cfg=dict(type='Pretrained', checkpoint='timm://mobilenetv1_100') in the
# backbone.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(type='mmeff.MobileNetV1', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[256, 512, 1024]),
)
