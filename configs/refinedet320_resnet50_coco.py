# RefineDet320 on ResNet-50 (VoVNet paper, Table 4: published COCO AP 30.3). The bias of
# the first convolution is in the Caffe model that was counted there.
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.CaffeResNet', depth=50, conv1_bias=True, out_indices=(1, 2, 3)
    ),
    neck=dict(in_channels=[512, 1024, 2048]),
    bbox_head=dict(in_channels=[512, 1024, 2048, 512]),
)
