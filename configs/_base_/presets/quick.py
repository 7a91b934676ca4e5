# `--preset quick`, for the R-CNN configs: learns the generated shapes in minutes on two
# CPU cores. The network keeps its full width; what is cut is pixels (96 instead of 800,
# masks of 14 instead of 28), RoIs sampled in training (16 instead of 512) and epochs.
# AdamW, because plain SGD from scratch needs more iterations than there are here.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    dataset=dict(
        pipeline=train_pipeline,
        filter_cfg=dict(filter_empty_gt=True, min_size=16),
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=test_pipeline),
)
test_dataloader = val_dataloader

model = dict(
    roi_head=dict(mask_roi_extractor=dict(roi_layer=dict(output_size=7))),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=256, max_per_img=64),
        rcnn=dict(sampler=dict(num=16), mask_size=14),
    ),
    test_cfg=dict(rpn=dict(nms_pre=256, max_per_img=32)),
)

train_cfg = dict(max_epochs=4, val_interval=4)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='AdamW', lr=0.0002, weight_decay=0.05, fused=True
    ),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=40),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=4,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(logger=dict(interval=20))
