"""Untrained detectors for small images, whose scores differ from box to box."""

import torch
from mmengine.config import Config
from torch import nn

import mmeff
from mmeff.checkpoints.detector import build_detector

PIPELINE = """
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=({width}, {height}), keep_ratio={keep_ratio}),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
test_dataloader = dict(
    _delete_=True, dataset=dict(type='CocoDataset', pipeline=test_pipeline))
"""
SSDLITE = f"""
_base_ = [{mmeff.config_path('ssdlite320_mobilenetv2_coco.py')!r}]
model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=(144, 1280), out_channels=(144, 1280, 32, 16, 16, 16)),
    bbox_head=dict(
        in_channels=(144, 1280, 32, 16, 16, 16),
        num_classes=3,
        anchor_generator=dict(
            strides=[16, 32, 64, 128, 128, 128], input_size=128)),
    test_cfg=dict(score_thr=0.2, max_per_img=50))
"""
RETINANET = """
default_scope = 'mmdet'
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[110, 110, 110], std=[60, 60, 60],
        bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(type='mmeff.VoVNet', arch='v2-19-slim-dw', out_indices=(1, 2, 3)),
    neck=dict(type='FPN', in_channels=[256, 384, 512], out_channels=16, num_outs=3),
    bbox_head=dict(
        type='RetinaHead', num_classes=3, in_channels=16, feat_channels=16,
        stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1,
            ratios=[0.5, 2.0], strides=[8, 16, 32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss')),
    test_cfg=dict(nms_pre=200, min_bbox_size=0, score_thr=0.05,
                  nms=dict(type='nms', iou_threshold=0.5), max_per_img=50))
"""
FASTER_RCNN = f"""
_base_ = [{mmeff.config_path('vovnet39_fasterrcnn.py')!r}]
model = dict(
    backbone=dict(arch='v2-19-slim-dw', norm_cfg=dict(_delete_=True, type='BN')),
    neck=dict(in_channels=[112, 256, 384, 512], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(
            in_channels=32, conv_out_channels=32, fc_out_channels=64, num_classes=3)),
    test_cfg=dict(
        rpn=dict(max_per_img=50), rcnn=dict(score_thr=0.05, max_per_img=50)))
"""
CONFIGS = {'ssdlite': SSDLITE, 'retinanet': RETINANET, 'faster_rcnn': FASTER_RCNN}


def config(name: str, height=128, width=128, keep_ratio=False) -> Config:
    pipeline = PIPELINE.format(height=height, width=width, keep_ratio=keep_ratio)
    if '_base_' not in CONFIGS[name]:
        pipeline = pipeline.replace('_delete_=True, ', '')
    return Config.fromstring(CONFIGS[name] + pipeline, '.py')


def detector(name: str, **size) -> nn.Module:
    """In eval mode on the CPU."""
    model = build_detector(config(name, **size), device='cpu')
    generator = torch.Generator().manual_seed(0)
    for path, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.9  # one batch says nearly all
        elif 'cls' in path and isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            layer.weight.data.normal_(0, 2 / fan_in**0.5, generator=generator)
    images = torch.randn(4, 3, 128, 128, generator=generator)
    model.train()
    with torch.no_grad():
        model.extract_feat(images)  # for the statistics of the norms
    return model.eval()
