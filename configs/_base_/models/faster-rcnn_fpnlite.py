# Faster R-CNN on VoVNetV2's FPNLite: the pyramid has 128 channels, nothing else changes.
_base_ = 'faster-rcnn_fpn.py'

model = dict(
    neck=dict(out_channels=128),
    rpn_head=dict(in_channels=128, feat_channels=128),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128), bbox_head=dict(in_channels=128)
    ),
)
