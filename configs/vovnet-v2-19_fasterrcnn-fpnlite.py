# Faster R-CNN with the pyramid of 128 channels, VoVNetV2-19, COCO 3x; the authors' with
# ImageNet weights: box AP 38.9. Weights as in vovnet-v2-39_fasterrcnn.py.
_base_ = [
    '_base_/models/faster-rcnn_fpnlite.py',
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
        arch='v2-19',
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='SyncBN'),
    ),
    neck=dict(in_channels=[256, 512, 768, 1024]),
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
