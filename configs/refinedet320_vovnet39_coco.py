# RefineDet320 on VoVNet-39 (VoVNet paper, Table 4: published COCO AP 33.5, 25 images/s).
# To start from ImageNet put init_cfg=dict(type='Pretrained', checkpoint=FILE) into the
# backbone; weights of form 'caffe' are needed.
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.VoVNet', arch='39', form='caffe', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[512, 768, 1024]),
    bbox_head=dict(in_channels=[512, 768, 1024, 512]),
)
