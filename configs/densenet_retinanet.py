# RetinaNet on DenseNet-121. To start from ImageNet say
# init_cfg=dict(type='Pretrained', checkpoint='torchvision://densenet121') in the backbone;
# with_cp=True takes far less memory.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.DenseNet', arch='121', out_indices=(1, 2, 3)),
    neck=dict(in_channels=[256, 512, 1024]),
)
