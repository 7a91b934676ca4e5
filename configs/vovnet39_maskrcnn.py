# Mask R-CNN, VoVNet-39-GN, COCO from scratch, 3x: VoVNet paper, Table 5
# (published: box AP 41.7, mask AP 36.8).
_base_ = [
    '_base_/models/mask-rcnn_fpn_gn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/schedule_3x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.VoVNet',
        arch='39',
        form='pytorch',
        out_indices=(0, 1, 2, 3),
        norm_cfg={{_base_.norm_cfg}},
    ),
    neck=dict(in_channels=[256, 512, 768, 1024]),
)
