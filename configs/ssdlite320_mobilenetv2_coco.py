# SSDLite on MobileNetV2 as the paper lays it out, with the first map from the expansion of
# block 13 (published: COCO AP 22.1, 4.3M parameters, 0.8B multiply-adds). To start from
# ImageNet put init_cfg=dict(type='Pretrained', checkpoint='torchvision://mobilenet_v2')
# into the backbone.
_base_ = [
    '_base_/models/ssdlite320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/ssdlite_41e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.MobileNetV2', out_indices=(2, 4), expansion_taps=(2,)),
    neck=dict(in_channels=(576, 1280), out_channels=(576, 1280, 512, 256, 256, 128)),
    bbox_head=dict(in_channels=(576, 1280, 512, 256, 256, 128)),
)

train_dataloader = dict(batch_size=24)
