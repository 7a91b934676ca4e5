# SSDLite at 320 pixels for COCO (MobileNetV2 paper, section 6.2; details from TensorFlow's
# object detection API): depthwise extras and heads, sigmoid. A child sets the backbone
# with maps at strides 16 and 32, and their channels in neck and head.
_base_ = 'ssd.py'

# TensorFlow's statistics move by 0.0003 an iteration: too slow for schedules of less than
# 10,000 of them.
norm_cfg = dict(type='BN', eps=0.001, momentum=0.03)
init_cfg = dict(type='TruncNormal', layer='Conv2d', std=0.03)

model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    neck=dict(
        type='SSDNeck',
        level_strides=(2, 2, 2, 2),
        level_paddings=(1, 1, 1, 1),
        l2_norm_scale=None,
        use_depthwise=True,
        norm_cfg=norm_cfg,
        act_cfg=dict(type='ReLU6'),
        init_cfg=init_cfg,
    ),
    bbox_head=dict(
        num_classes=80,
        use_depthwise=True,
        use_sigmoid=True,
        norm_cfg=norm_cfg,
        act_cfg=dict(type='ReLU6'),
        anchor_generator=dict(
            type='mmeff.SSDLitePriorGenerator',
            input_size=320,
            # the input over the maps of 20, 10, 5, 3, 2 and 1 cells
            strides=[16, 32, 64, 320 / 3, 160, 320],
        ),
        init_cfg=init_cfg,
    ),
    train_cfg=dict(min_negatives=3),
    test_cfg=dict(nms=dict(iou_threshold=0.6), max_per_img=100),
)
