# What detectors of the SSD family share. A child sets backbone, neck, and of the head
# num_classes, in_channels and anchor_generator.
model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
    ),
    bbox_head=dict(
        type='mmeff.SSDHead',
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
    ),
    train_cfg=dict(
        assigner=dict(
            type='mmeff.BipartiteIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5
        ),
        neg_pos_ratio=3,
        smoothl1_beta=1.0,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.01,
        nms=dict(type='nms', iou_threshold=0.45),
        max_per_img=200,
    ),
)
