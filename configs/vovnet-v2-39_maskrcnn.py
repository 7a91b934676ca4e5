# Mask R-CNN, VoVNetV2-39, COCO 3x; the authors' with ImageNet weights: box AP 43.8, mask
# AP 39.3. Weights as in vovnet-v2-39_fasterrcnn.py. The one made to be trained from
# scratch, with GroupNorm everywhere, is vovnet39_maskrcnn.py.
_base_ = [
    '_base_/models/mask-rcnn_fpn.py',
    '_base_/datasets/coco_instance_ms.py',
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
