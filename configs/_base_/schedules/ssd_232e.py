# 120k iterations of 32 images of VOC 07+12 in epochs, the rate divided by 10 after 80k and
# 100k, as Pelee and SSD do for VOC. The warm-up is ours.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=232, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=232, milestones=[155, 193], gamma=0.1),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=0.0005),
)
# One device with 32 images; on other batches the rate is scaled, and mmengine logs by how
# much.
auto_scale_lr = dict(enable=True, base_batch_size=32)
