# RetinaNet on PeleeNet, which has one size. The paper's detector is Pelee, an SSD.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.PeleeNet', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[256, 512, 704]),
)
