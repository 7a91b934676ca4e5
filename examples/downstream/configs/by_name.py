# Inherits a config at the top of mmeff's configs/, by package name.
_base_ = 'mmeff::vovnet27-slim_rtmdet.py'

custom_imports = dict(imports=['mmeff', 'tinydet'], allow_failed_imports=False)
model = dict(
    backbone=dict(arch='v2-19-slim-dw'),
    neck=dict(
        _delete_=True,
        type='PointwiseNeck',
        in_channels=[256, 384, 512],
        out_channels=16,
    ),
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        pipeline=train_pipeline, filter_cfg=dict(filter_empty_gt=True, min_size=8)
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=test_pipeline),
)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=3, val_interval=3)
default_hooks = dict(logger=dict(interval=1))
