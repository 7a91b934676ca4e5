# `--preset scratch --data FOLDER`, for the configs of the SSD family (SSD, SSDLite, Pelee,
# DSOD, RefineDet) on small data of yours: 320 pixels, AdamW with a cosine, averaged weights.
# SSD's zoom is limited, from 0.67 to 2, because a few hundred pictures of small objects do
# not need objects of ten pixels; colours change little, because they may be what tells the
# classes apart.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='Expand',
        mean=[104.0, 117.0, 123.0],
        to_rgb=False,
        ratio_range=(1, 1.5),
        prob=0.5,
    ),
    dict(type='MinIoURandomCrop', min_ious=(0.5,), min_crop_size=0.5),
    dict(type='Resize', scale=(320, 320), keep_ratio=False),
    dict(type='YOLOXHSVRandomAug'),  # before flips, whose views OpenCV cannot write to
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 320), keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    # --data fills in the rest; whatever the config trains on is left out
    dataset=dict(_delete_=True, type='mmeff.CocoDataset', pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# Where a norm or a 1x1 predicts, the biases alone can say that nearly all boxes are
# background, and AdamW moves them slowly: they start there.
model = dict(bbox_head=dict(prior_prob=0.1))

train_cfg = dict(max_epochs=120, val_begin=20, val_interval=10)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='AdamW', lr=0.001, weight_decay=0.05, fused=True
    ),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=120,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)

# What default_runtime.py has, and the average.
custom_hooks = [
    dict(type='mmeff.EpochSeedHook'),
    dict(type='mmeff.ProgressHook'),
    dict(type='mmeff.InvalidLossHook'),
    dict(type='mmeff.BatchNormGuardHook'),
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=0.002,
        gamma=200,
        update_buffers=True,
    ),
]
