"""Small untrained detectors and coloured pictures to predict on."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import torch

import mmeff
from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config

CLASSES = ['circle', 'square', 'triangle']

PIPELINE = """
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
test_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=test_pipeline))
"""
RETINANET = (
    """
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
            ratios=[1.0], strides=[8, 16, 32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss')),
    test_cfg=dict(nms_pre=100, min_bbox_size=0, score_thr=0.0,
                  nms=dict(type='nms', iou_threshold=0.3), max_per_img=8))
"""
    + PIPELINE
)
MASK_RCNN = (
    f'_base_ = [{mmeff.config_path("vovnet39_maskrcnn.py")!r}]'
    """
model = dict(
    backbone=dict(arch='v2-19-slim-dw', norm_cfg=dict(_delete_=True, type='BN')),
    neck=dict(in_channels=[112, 256, 384, 512], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(
            in_channels=32, conv_out_channels=32, fc_out_channels=64, num_classes=3),
        mask_roi_extractor=dict(out_channels=32),
        mask_head=dict(
            num_convs=1, in_channels=32, conv_out_channels=32, num_classes=3)),
    test_cfg=dict(
        rpn=dict(max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=6)))
""" + PIPELINE.replace('dict(dataset', 'dict(_delete_=True, dataset')
)


def make_detector(folder: Path, config: str) -> tuple[str, str]:
    """Config and checkpoint of a detector whose scores differ from box to box."""
    path, weights = folder / 'config.py', folder / 'weights.pth'
    path.write_text(config)
    model = build_detector(load_config(path), device='cpu')
    generator = torch.Generator().manual_seed(0)
    head = getattr(model, 'bbox_head', None)
    layer = head.retina_cls if head is not None else model.roi_head.bbox_head.fc_cls
    layer.weight.data.normal_(0, 2.0, generator=generator)
    meta = {'dataset_meta': {'classes': CLASSES, 'palette': [(200, 0, 0)] * 3}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, weights)
    return str(path), str(weights)


def picture(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Coloured blobs, BGR."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def save_video(path: Path, frames: list[np.ndarray], rate: float = 10) -> Path:
    height, width = frames[0].shape[:2]
    code = cv2.VideoWriter_fourcc(*('mp4v' if path.suffix == '.mp4' else 'MJPG'))
    video = cv2.VideoWriter(str(path), code, rate, (width, height))
    for frame in frames:
        video.write(frame)
    video.release()
    return path


def huge_png(path: Path) -> Path:
    """A PNG of 100 bytes whose header promises 10000 x 10000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack('>I', zlib.crc32(kind + data))
        return struct.pack('>I', len(data)) + kind + data + crc

    header = chunk(b'IHDR', struct.pack('>IIBBBBB', 10000, 10000, 8, 2, 0, 0, 0))
    data = chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + header + data)
    return path
