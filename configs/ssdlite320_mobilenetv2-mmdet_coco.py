# SSDLite as mmdet lays it out, for mmdet's weights (published COCO AP 21.3),
#   ssdlite_mobilenetv2_scratch_600e_coco_20210629_110627-974d9307.pth
# which load as they are: the first map is block 13's input of 96 channels, all maps have six
# priors, scores are a softmax. The paper's layout is ssdlite320_mobilenetv2_coco.py.
_base_ = [
    '_base_/models/ssdlite320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/ssd_232e.py',
    '_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(
        type='mmdet.MobileNetV2',
        out_indices=(4, 7),
        init_cfg=dict(type='TruncNormal', layer='Conv2d', std=0.03),
    ),
    neck=dict(in_channels=(96, 1280), out_channels=(96, 1280, 512, 256, 256, 128)),
    bbox_head=dict(
        in_channels=(96, 1280, 512, 256, 256, 128),
        use_sigmoid=False,
        anchor_generator=dict(
            _delete_=True,
            type='mmdet.SSDAnchorGenerator',
            scale_major=False,
            strides=[16, 32, 64, 107, 160, 320],
            ratios=[[2, 3], [2, 3], [2, 3], [2, 3], [2, 3], [2, 3]],
            min_sizes=[48, 100, 150, 202, 253, 304],
            max_sizes=[100, 150, 202, 253, 304, 320],
        ),
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.001),
    ),
    train_cfg=dict(min_negatives=0),
    test_cfg=dict(nms=dict(iou_threshold=0.45), score_thr=0.02, max_per_img=200),
)

# mmdet's 600 epochs of 192 images a step; its augmentation changes colours last.
train_dataloader = dict(batch_size=24)
train_cfg = dict(max_epochs=600, val_interval=25)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', begin=0, end=600, T_max=600, eta_min=0),
]
optim_wrapper = dict(optimizer=dict(lr=0.015, weight_decay=0.00004))
auto_scale_lr = dict(base_batch_size=192)
