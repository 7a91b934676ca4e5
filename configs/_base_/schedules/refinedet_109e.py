# RefineDet's 400k iterations of 32 COCO images with steps at 280k and 360k, in epochs.
# Warm-up and clipping are ours.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=109, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=109, milestones=[76, 98], gamma=0.1),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=0.0005),
    clip_grad=dict(max_norm=35),
)
# 4 devices x 8 images; on other batches the rate is scaled, and mmengine logs by how much.
auto_scale_lr = dict(enable=True, base_batch_size=32)
