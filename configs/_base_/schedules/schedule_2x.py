# 24 epochs of COCO at 16 images a step, about the 180k iterations of the VoVNet authors'
# 2x with its steps at 120k and 160k.
_base_ = 'schedule_3x.py'

train_cfg = dict(max_epochs=24)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=24, milestones=[16, 22], gamma=0.1),
]
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
