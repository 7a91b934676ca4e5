# Faster R-CNN, VoVNetV2-39, COCO 3x; the authors' with ImageNet weights and fixed
# BatchNorm: box AP 42.7 (19: 38.9, 57: 43.3, 99: 44.1). As it stands it learns from random
# weights, with BatchNorm over all devices. With the authors' file say
#   init_cfg=dict(type='Pretrained', checkpoint='vovnet39_ese_detectron2.pth'),
#   norm_eval=True
# in the backbone. timm's weights (timm://ese_vovnet39b.ra_in1k) want form='timm' and the
# means of the base.
_base_ = [
    '_base_/models/faster-rcnn_fpn.py',
    '_base_/datasets/coco_detection_ms.py',
    '_base_/schedules/schedule_3x.py',
    '_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(
        mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False
    ),
    backbone=dict(
        type='mmeff.VoVNet',
        arch='v2-39',
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='SyncBN'),
    ),
    neck=dict(in_channels=[256, 512, 768, 1024]),
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
