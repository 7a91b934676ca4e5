# RetinaNet on MobileNetV2 (GhostNet paper, COCO, 1x: box AP 26.7). To start from ImageNet
# say init_cfg=dict(type='Pretrained', checkpoint='torchvision://mobilenet_v2') in the
# backbone.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.MobileNetV2', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[32, 96, 320]),
)
