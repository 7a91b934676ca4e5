"""Settings of trainings that take a second: SSDLite on the generated shapes, on a CPU."""

import mmeff

# Nothing random but the order; GroupNorm, so that images do not see each other.
SSDLITE = f"""
_base_ = [{mmeff.config_path('ssdlite320_mobilenetv2_coco.py')!r}]
custom_imports = dict(imports=['mmeff'], allow_failed_imports=False)
norm = dict(_delete_=True, type='GN', num_groups=4)
channels = (144, 1280, 32, 16, 16, 16)
model = dict(
    backbone=dict(widen_factor=0.25, norm_cfg=norm),
    neck=dict(in_channels=(144, 1280), out_channels=channels, norm_cfg=norm),
    bbox_head=dict(
        in_channels=channels, num_classes=3, norm_cfg=norm,
        anchor_generator=dict(strides=[16, 32, 64, 128, 128, 128], input_size=128)))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=False),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = (128, 128)
train_dataloader = dict(
    _delete_=True, batch_size=2, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='CocoDataset', pipeline=train_pipeline))
test_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dict(pipeline=test_pipeline))
val_dataloader = test_dataloader
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4))
param_scheduler = None
auto_scale_lr = dict(enable=False)
train_cfg = dict(
    _delete_=True, type='EpochBasedTrainLoop', max_epochs=1, val_interval=1,
    val_begin=99)
default_hooks = dict(logger=dict(interval=1))
"""
WITH_BATCH_NORM = SSDLITE.replace(
    "dict(_delete_=True, type='GN', num_groups=4)", "dict(type='BN')"
)
