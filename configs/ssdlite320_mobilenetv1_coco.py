# SSDLite on MobileNetV1 (MobileNetV2 paper, Table 6; published: COCO AP 22.2, 5.1M
# parameters, 1.3B multiply-adds).
_base_ = [
    '_base_/models/ssdlite320.py',
    '_base_/datasets/ssd320_coco.py',
    '_base_/schedules/ssdlite_41e.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(type='mmeff.MobileNetV1', out_indices=(2, 3)),
    neck=dict(in_channels=(512, 1024), out_channels=(512, 1024, 512, 256, 256, 128)),
    bbox_head=dict(in_channels=(512, 1024, 512, 256, 256, 128)),
)

train_dataloader = dict(batch_size=24)
