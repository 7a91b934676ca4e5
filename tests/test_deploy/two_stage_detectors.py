"""Small untrained two-stage detectors whose proposals, scores and masks differ."""

import torch
from mmengine.config import Config
from torch import nn

from mmeff.checkpoints.detector import build_detector

CHANNELS = 64
CLASSES = 5
STRIDES = [4, 8, 16, 32]
NMS = {'type': 'nms', 'iou_threshold': 0.7}


def _rpn(channels: int = CHANNELS, strides: tuple[int, ...] = (*STRIDES, 64)) -> dict:
    return dict(
        type='RPNHead',
        in_channels=channels,
        feat_channels=CHANNELS,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[4, 8],
            ratios=[0.5, 1.0, 2.0],
            strides=list(strides),
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.5] * 4),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss'),
    )


def _extractor(size: int, channels: int = CHANNELS, strides=tuple(STRIDES)) -> dict:
    return dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size, sampling_ratio=0),
        out_channels=channels,
        featmap_strides=list(strides),
    )


def _box_head(**settings) -> dict:
    return dict(
        type='Shared2FCBBoxHead',
        in_channels=CHANNELS,
        fc_out_channels=CHANNELS,
        roi_feat_size=7,
        num_classes=CLASSES,
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False),
        loss_bbox=dict(type='L1Loss'),
    ) | dict(settings)


def _masks() -> dict:
    return dict(
        mask_roi_extractor=_extractor(14),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=1,
            in_channels=CHANNELS,
            conv_out_channels=CHANNELS,
            num_classes=CLASSES,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True),
        ),
    )


def _standard(**more) -> dict:
    return dict(
        type='StandardRoIHead',
        bbox_roi_extractor=_extractor(7),
        bbox_head=_box_head(),
    ) | dict(more)


def _cascade() -> dict:
    return dict(
        type='CascadeRoIHead',
        num_stages=2,
        stage_loss_weights=[1, 0.5],
        bbox_roi_extractor=_extractor(7),
        bbox_head=[_box_head(reg_class_agnostic=True) for _ in range(2)],
        **_masks(),
    )


def _model(roi_head: dict) -> dict:
    return dict(
        type='FasterRCNN',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            mean=[110] * 3,
            std=[60] * 3,
            bgr_to_rgb=True,
            pad_size_divisor=32,
        ),
        backbone=dict(type='ResNet', depth=18, norm_eval=False),
        neck=dict(
            type='FPN',
            in_channels=[64, 128, 256, 512],
            out_channels=CHANNELS,
            num_outs=5,
        ),
        rpn_head=_rpn(),
        roi_head=roi_head,
        train_cfg=None,
        test_cfg=dict(
            rpn=dict(nms_pre=200, max_per_img=100, nms=NMS, min_bbox_size=0),
            rcnn=dict(
                score_thr=0.15,
                nms=dict(type='nms', iou_threshold=0.5),
                max_per_img=30,
                mask_thr_binary=0.5,
            ),
        ),
    )


def _c4() -> dict:
    """No neck, one level, and a stage of the backbone for the features of each RoI."""
    shared = dict(type='ResLayer', depth=18, stage=3, norm_cfg=dict(type='BN'))
    box_head = _box_head(type='BBoxHead', with_avg_pool=True, in_channels=512)
    del box_head['fc_out_channels']
    roi_head = _standard(
        shared_head=shared,
        bbox_roi_extractor=_extractor(14, 256, (16,)),
        bbox_head=box_head,
    )
    model = _model(roi_head)
    del model['neck']
    model['backbone'] |= dict(num_stages=3, out_indices=(2,), strides=(1, 2, 2))
    model['backbone'] |= dict(dilations=(1, 1, 1))
    model['test_cfg']['rpn']['max_per_img'] = 20
    return model | dict(rpn_head=_rpn(256, (16,)))


MODELS = {
    'faster_rcnn': lambda: _model(_standard()),
    'mask_rcnn': lambda: _model(_standard(**_masks())),
    'cascade_rcnn': lambda: _model(_cascade()),
    'c4': _c4,
}


def two_stage_detector(kind: str) -> nn.Module:
    """In eval mode on the CPU; `kind` is one of `MODELS`."""
    cfg = Config(dict(default_scope='mmdet', model=MODELS[kind]()))
    model = build_detector(cfg, device='cpu')
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.9  # one batch says nearly all
    model.train()
    with torch.no_grad():
        model.extract_feat(torch.randn(2, 3, 128, 128, generator=generator))
    for path, layer in model.named_modules():
        gain = {'rpn_cls': 3, 'rpn_reg': 1, 'fc_cls': 3, 'fc_reg': 2, 'logits': 3}
        for name, factor in gain.items():
            if path.endswith(name):
                std = factor / layer.weight[0].numel() ** 0.5
                layer.weight.data.normal_(0, std, generator=generator)
    return model.eval()
