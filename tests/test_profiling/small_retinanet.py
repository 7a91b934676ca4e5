# A detector for 64 x 64 pixels that finds boxes even with random weights.
custom_imports = dict(imports=['mmeff'], allow_failed_imports=False)
default_scope = 'mmdet'

model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='mmeff.VoVNet',
        arch='v2-19-slim-dw',
        out_indices=(1, 2, 3),
        frozen_stages=0,
    ),
    neck=dict(type='FPN', in_channels=[256, 384, 512], out_channels=32, num_outs=3),
    bbox_head=dict(
        type='RetinaHead',
        num_classes=3,
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32],
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.005,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=20,
    ),
)

test_dataloader = dict(
    dataset=dict(
        type='CocoDataset',
        ann_file='does/not/exist.json',
        metainfo=dict(classes=('circle', 'square', 'triangle')),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(90, 64), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(
                type='PackDetInputs',
                meta_keys=(
                    'img_id',
                    'img_path',
                    'ori_shape',
                    'img_shape',
                    'scale_factor',
                ),
            ),
        ],
    )
)
