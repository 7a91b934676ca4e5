# DSOD300 on VoVNet-27-slim, from scratch (VoVNet paper, Table 2: published 74.8 VOC mAP).
# The paper does not print the layout: this one was searched to fit its 5.9M parameters
# and 5.6 GFLOPs, see docs/dsod.md.
_base_ = [
    '_base_/models/dsod300.py',
    '_base_/datasets/ssd300_voc0712.py',
    '_base_/schedules/dsod_775e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.VoVNet', arch='27-slim', form='caffe', out_indices=(1, 2, 3)
    ),
    neck=dict(in_channels=[256, 384, 512], widths=[128, 128, 128]),
    bbox_head=dict(in_channels=[256, 384, 512, 256, 256, 256]),
)
