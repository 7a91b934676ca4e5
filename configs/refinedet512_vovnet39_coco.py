# RefineDet512 on VoVNet-39: 540k iterations of 20 images with steps at 400k and 480k, in
# epochs. No published number was found.
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd512_coco.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.VoVNet', arch='39', form='caffe', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[512, 768, 1024]),
    bbox_head=dict(in_channels=[512, 768, 1024, 512]),
)

train_dataloader = dict(batch_size=20)
train_cfg = dict(max_epochs=92)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=92, milestones=[68, 82], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=20)
