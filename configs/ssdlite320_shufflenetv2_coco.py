# SSDLite on ShuffleNetV2 1.0x, laid out as on MobileNetV2: the last map at stride 16 and the 1x1
# convolution before the classifier. Not of the paper, which has no SSDLite.
_base_ = [
    '_base_/models/ssdlite320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/ssdlite_41e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.ShuffleNetV2', out_indices=(2, 4)),
    neck=dict(in_channels=(232, 1024), out_channels=(232, 1024, 512, 256, 256, 128)),
    bbox_head=dict(in_channels=(232, 1024, 512, 256, 256, 128)),
)

train_dataloader = dict(batch_size=24)
