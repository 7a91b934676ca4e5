# RetinaNet on VoVNet-39. Not in the papers, whose one-stage detector is RefineDet.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.VoVNet', arch='39', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[512, 768, 1024]),
)
