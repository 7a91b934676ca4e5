# The lightest of VoVNetV2's detectors: V2-19-slim-dw, pyramid of 128 channels, COCO 3x; the
# authors' with ImageNet weights: box AP 32.4. Weights as in vovnet-v2-39_fasterrcnn.py.
_base_ = 'vovnet-v2-19_fasterrcnn-fpnlite.py'

model = dict(
    backbone=dict(arch='v2-19-slim-dw'), neck=dict(in_channels=[112, 256, 384, 512])
)
