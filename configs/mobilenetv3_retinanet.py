# RetinaNet on MobileNetV3-Large (GhostNet paper, COCO, 1x: box AP 26.4). To start from
# ImageNet say init_cfg=dict(type='Pretrained', checkpoint='torchvision://mobilenet_v3_large')
# in the backbone.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.MobileNetV3', arch='large', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[40, 112, 160]),
)
