# RetinaNet on ShuffleNetV2 1.0x. The paper's detector is Light-Head R-CNN.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.ShuffleNetV2', arch='1.0', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[116, 232, 464]),
)
