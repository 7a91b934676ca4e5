# RefineDet320 on VoVNet-39 for VOC 07+12, as the VoVNet authors train it: 120k iterations
# of 32 images with steps at 80k and 100k, a fifth of the usual weight decay, and an ARM whose
# positives overlap by .7 and negatives by less than .3. No published number was found.
_base_ = [
    '_base_/models/refinedet320.py',
    '_base_/datasets/ssd320_voc0712.py',
    '_base_/schedules/refinedet_109e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.VoVNet', arch='39', form='caffe', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[512, 768, 1024]),
    bbox_head=dict(num_classes=20, in_channels=[512, 768, 1024, 512]),
    train_cfg=dict(arm=dict(assigner=dict(pos_iou_thr=0.7, neg_iou_thr=0.3))),
)

train_cfg = dict(max_epochs=232)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=232, milestones=[155, 193], gamma=0.1),
]
optim_wrapper = dict(optimizer=dict(weight_decay=0.0001))
