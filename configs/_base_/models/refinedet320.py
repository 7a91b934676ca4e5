# RefineDet at 320 or 512 pixels, for COCO. A child sets the backbone (maps at strides 8,
# 16 and 32), the neck's in_channels, and the head's, which are those and 512.
norm_cfg = dict(type='BN')
matching = dict(type='mmeff.BipartiteIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5)
model = dict(
    type='mmeff.RefineDet',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[104.0, 117.0, 123.0],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_size_divisor=64,
    ),
    neck=dict(
        type='mmeff.TransferConnection',
        extra='bottleneck',
        out_channels=256,
        norm_cfg=norm_cfg,
    ),
    bbox_head=dict(
        type='mmeff.RefineDetHead',
        num_classes=80,
        feat_channels=256,
        with_inter=True,
        objectness_thr=0.01,
        norm_cfg=norm_cfg,
        anchor_generator=dict(
            type='mmeff.PriorBoxGenerator',
            strides=[8, 16, 32, 64],
            min_sizes=[32, 64, 128, 256],
            max_sizes=None,
            ratios=[[2], [2], [2], [2]],
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
    ),
    train_cfg=dict(
        arm=dict(assigner=matching), odm=dict(assigner=matching), neg_pos_ratio=3
    ),
    test_cfg=dict(
        score_thr=0.01,
        nms_pre=1000,
        nms=dict(type='nms', iou_threshold=0.45),
        max_per_img=500,
    ),
)
