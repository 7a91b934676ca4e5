# 36 epochs of COCO at 16 images a step, about the 270k iterations of the VoVNet paper's
# Table 5 with its steps at 210k and 250k.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=36, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=36, milestones=[28, 33], gamma=0.1),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001),
)
# 8 devices x 2 images; on other batches the rate is scaled, and mmengine logs by how much.
auto_scale_lr = dict(enable=True, base_batch_size=16)
