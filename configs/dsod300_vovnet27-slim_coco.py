# DSOD300 on VoVNet-27-slim with DSOD's COCO anchors, the smallest of them 21 pixels, and
# its 320k iterations of 128 images, in epochs. No published number.
_base_ = [
    '_base_/models/dsod300.py',
    '_base_/datasets/ssd300_coco.py',
    '_base_/schedules/dsod_775e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.VoVNet', arch='27-slim', form='caffe', out_indices=(1, 2, 3)
    ),
    neck=dict(in_channels=[256, 384, 512], widths=[128, 128, 128]),
    bbox_head=dict(
        num_classes=80,
        in_channels=[256, 384, 512, 256, 256, 256],
        anchor_generator=dict(
            min_sizes=[21, 45, 99, 153, 207, 261],
            max_sizes=[45, 99, 153, 207, 261, 315],
        ),
    ),
)

train_cfg = dict(max_epochs=350, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR', begin=0, end=350, milestones=[87, 153, 218, 284], gamma=0.1
    ),
]
