# DSOD's 100k iterations of 128 images from VOC 07+12, without any weights to start from:
# the rate is divided by 10 after 20k, 40k, 60k and 80k. Warm-up and clipping are ours.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=775, val_interval=25)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR', begin=0, end=775, milestones=[155, 310, 465, 620], gamma=0.1
    ),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0005),
    clip_grad=dict(max_norm=35),
)
# 4 devices x 32 images; on other batches the rate is scaled, and mmengine logs by how much:
# from scratch a rate too high for the batch is not survived.
auto_scale_lr = dict(enable=True, base_batch_size=128)
