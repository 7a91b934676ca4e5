# DSOD300 for VOC: dense prediction maps, and an SSD head that normalises all of them. A
# child sets the backbone, the neck and the head's in_channels. BN is trained from scratch
# everywhere: no weights are loaded and nothing is frozen.
_base_ = 'ssd.py'

model = dict(
    data_preprocessor=dict(
        mean=[104.0, 117.0, 123.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=False
    ),
    neck=dict(type='mmeff.DensePrediction'),
    bbox_head=dict(
        num_classes=20,
        kernel_size=3,
        l2_norm_scale=20,
        pred_norm_cfg=dict(type='BN', eps=0.001),
        anchor_generator=dict(
            type='mmeff.PriorBoxGenerator',
            strides=[8, 16, 32, 64, 100, 300],
            min_sizes=[30, 60, 111, 162, 213, 264],
            max_sizes=[60, 111, 162, 213, 264, 315],
            ratios=[[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        ),
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01),
    ),
)
