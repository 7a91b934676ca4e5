# RetinaNet on Ghost-ResNet-50, s=2. Not in the paper, which has it for ImageNet only; no
# weights are public. ratio=1 is ResNet-50, with 'torchvision://resnet50' as weights.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.GhostResNet', arch='50', ratio=2, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[512, 1024, 2048]),
)
