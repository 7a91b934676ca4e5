# RefineDet320 on VGG-16 (RefineDet paper: published COCO AP 29.4): no norms, no
# residual blocks in the head. It is meant to start from ImageNet weights,
# init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://vgg16_caffe') in the backbone.
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.ReducedVGG'),
    neck=dict(
        in_channels=[512, 512, 1024],
        extra='conv',
        l2_norm_scales=[10, 8],
        norm_cfg=None,
    ),
    bbox_head=dict(in_channels=[512, 512, 1024, 512], with_inter=False),
)
