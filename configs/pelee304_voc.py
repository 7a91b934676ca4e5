# Pelee at 304 pixels (published 70.9 VOC mAP, 5.4M parameters, 1.21G multiply-adds):
# PeleeNet, residual prediction blocks, 1x1 predictions, no map at stride 8. The authors
# augment less, by crops and flips alone. For COCO they start at 7 % of the image and go on
# from 15 %: min_sizes=[21.28, 45.6, 100.32, 155.04, 209.76, 264.48].
_base_ = [
    '_base_/models/ssd.py',
    '_base_/datasets/ssd304_voc0712.py',
    '_base_/schedules/ssd_232e.py',
    '_base_/default_runtime.py',
]

norm_cfg = dict(type='BN', eps=0.001)  # Caffe's for this network

model = dict(
    data_preprocessor=dict(
        mean=[123.68, 116.78, 103.94], std=[1 / 0.017, 1 / 0.017, 1 / 0.017]
    ),
    backbone=dict(type='mmeff.PeleeNet', out_indices=(2, 3), norm_cfg=norm_cfg),
    neck=dict(type='mmeff.PeleeNeck', in_channels=(512, 704), norm_cfg=norm_cfg),
    bbox_head=dict(
        num_classes=20,
        in_channels=(256, 256, 256, 256, 256, 256),
        kernel_size=1,
        anchor_generator=dict(
            type='mmeff.PriorBoxGenerator',
            # the input over the maps of 19, 19, 10, 5, 3 and 1 cells
            strides=[16, 16, 30.4, 60.8, 304 / 3, 304],
            min_sizes=[30.4, 60.8, 112.48, 164.16, 215.84, 267.52],
            max_sizes=[60.8, 112.48, 164.16, 215.84, 267.52, 319.2],
            ratios=[[2, 3], [2, 3], [2, 3], [2, 3], [2, 3], [2, 3]],
        ),
    ),
)
