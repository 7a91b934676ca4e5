# TensorFlow's 200k iterations of 24 images of COCO in epochs, with RMSprop at a constant
# rate: its decay would begin after 800k iterations. Its epsilon of 1 makes it nearly SGD
# with momentum. The warm-up is ours.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=41, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='RMSprop', lr=0.004, alpha=0.9, eps=1.0, momentum=0.9, weight_decay=0.00004
    ),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
)
# One device with 24 images; on other batches the rate is scaled, and mmengine logs by how
# much.
auto_scale_lr = dict(enable=True, base_batch_size=24)
