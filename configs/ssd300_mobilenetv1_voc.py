# SSD300 on MobileNetV1, the row of the VoVNet and Pelee papers (published 68.0 VOC mAP
# without COCO data): ReLU, 1x1 predictions, no L2Norm, few and large priors. RMSprop and
# its steps at 20k and 40k of 120k iterations of 24 images are those of the Caffe model.
_base_ = [
    '_base_/models/ssd.py',
    '_base_/datasets/ssd300_voc0712.py',
    '_base_/schedules/ssd_232e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mmeff.MobileNetV1', act_cfg=dict(type='ReLU'), out_indices=(2, 3)
    ),
    neck=dict(
        type='SSDNeck',
        in_channels=(512, 1024),
        out_channels=(512, 1024, 512, 256, 256, 128),
        level_strides=(2, 2, 2, 2),
        level_paddings=(1, 1, 1, 1),
        l2_norm_scale=None,
        norm_cfg=dict(type='BN'),
    ),
    bbox_head=dict(
        num_classes=20,
        in_channels=(512, 1024, 512, 256, 256, 128),
        kernel_size=1,
        anchor_generator=dict(
            type='mmeff.PriorBoxGenerator',
            # the input over the maps of 19, 10, 5, 3, 2 and 1 cells
            strides=[300 / 19, 30, 60, 100, 150, 300],
            min_sizes=[60, 105, 150, 195, 240, 285],
            max_sizes=[None, 150, 195, 240, 285, 300],
            ratios=[[2], [2, 3], [2, 3], [2, 3], [2, 3], [2, 3]],
        ),
    ),
)

train_dataloader = dict(batch_size=24)
train_cfg = dict(max_epochs=174)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=174, milestones=[29, 58], gamma=0.5),
]
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='RMSprop', lr=0.0005, weight_decay=0.00005)
)
auto_scale_lr = dict(base_batch_size=24)
