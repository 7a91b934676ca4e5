# Faster R-CNN on G-Ghost RegNetX-3.2GF, with mmdet's recipe for RegNetX (its RegNetX-3.2GF
# from ImageNet: box AP 39.9); the paper's own detectors are not published. GroupNorm,
# because BatchNorm of the mix sees one value an image. With the authors' file leave norm_cfg
# out and say init_cfg=dict(type='Pretrained', checkpoint='g_ghost_regnet_3.2g_77.8.pth'),
# norm_eval=True in the backbone.
_base_ = [
    '_base_/models/faster-rcnn_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.GGhostRegNet',
        arch='032',
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='GN', num_groups=8),
    ),
    neck=dict(in_channels=[96, 192, 432, 1008]),
)
optim_wrapper = dict(optimizer=dict(lr=0.02, weight_decay=0.00005))
