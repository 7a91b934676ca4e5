"""Inputs and regions of real detectors, as the measurements meet them."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmeff.apis.config import load_config
from mmeff.apis.detector import build_detector
from mmeff.errors import UserError
from mmeff.profiling.counts import count_operations
from mmeff.profiling.detector import DetectorRegions, make_batch

SMALL = Path(__file__).with_name('small_retinanet.py')


@pytest.fixture(scope='module')
def cfg() -> Config:
    return load_config(SMALL)


@pytest.fixture(scope='module')
def model(cfg):
    return build_detector(cfg, device='cpu')


def _image_shape(data: dict) -> tuple:
    return tuple(data['inputs'][0].shape)


def test_default_shape_is_that_of_the_test_pipeline(cfg):
    assert _image_shape(make_batch(cfg)) == (3, 64, 90)
    paper = make_batch(load_config('vovnet39_maskrcnn.py'))
    assert _image_shape(paper) == (3, 800, 1333)
    assert paper['inputs'][0].dtype == torch.uint8


def test_scale_without_ratio_is_width_and_height(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.test_dataloader.dataset.pipeline[1].update(scale=(96, 32), keep_ratio=False)
    assert _image_shape(make_batch(cfg)) == (3, 32, 96)


def test_asked_shape_wins_and_noise_is_the_same_each_time(cfg):
    first, second = (make_batch(cfg, shape=[40, 50], batch=2) for _ in range(2))
    assert _image_shape(first) == (3, 40, 50)
    assert len(first['inputs']) == len(first['data_samples']) == 2
    assert torch.equal(first['inputs'][1], second['inputs'][1])
    assert first['inputs'][0].float().std() > 50


def test_real_image_goes_through_the_pipeline(cfg, tmp_path):
    path = tmp_path / 'wide.png'
    Image.fromarray(np.full((100, 200, 3), (255, 0, 0), np.uint8)).save(path)
    data = make_batch(cfg, image=path)
    assert _image_shape(data) == (3, 45, 90)  # 90 is the long side's limit
    assert data['inputs'][0][:, 0, 0].tolist() == [0, 0, 255]  # BGR, as mmdet loads it
    assert data['data_samples'][0].ori_shape == (100, 200)
    assert _image_shape(make_batch(cfg, (64, 64), path)) == (3, 64, 64)


@pytest.mark.parametrize('shape', [(16, 64), (64, 0), (64, -64), (64,), (1, 2, 3)])
def test_bad_shape_is_refused(cfg, shape):
    with pytest.raises(UserError, match='expected height and width'):
        make_batch(cfg, shape)


def test_bad_batch_and_images_are_refused(cfg, tmp_path):
    with pytest.raises(UserError, match='batch=0'):
        make_batch(cfg, batch=0)
    with pytest.raises(UserError, match=r'none\.jpg: No such file'):
        make_batch(cfg, image=tmp_path / 'none.jpg')
    (tmp_path / 'text.jpg').write_text('no image')
    with pytest.raises(UserError, match='cannot be decoded'):
        make_batch(cfg, image=tmp_path / 'text.jpg')


def test_config_without_data_needs_a_shape(cfg):
    bare = Config({'model': cfg.model})
    with pytest.raises(UserError, match='--shape'):
        make_batch(bare)
    assert _image_shape(make_batch(bare, (64, 64))) == (3, 64, 64)


def test_forward_sees_the_padded_input_and_detect_gives_boxes(cfg, model):
    regions = DetectorRegions(model, make_batch(cfg, batch=2))
    assert regions.image_shape == (64, 90)
    assert regions.input_shape == (64, 96)
    scores, _ = regions.forward()
    assert [tuple(level.shape[-2:]) for level in scores] == [(8, 12), (4, 6), (2, 3)]
    results = regions.detect()
    assert len(results) == 2
    assert regions.boxes_per_img() == len(results[0].pred_instances) == 20
    assert regions.proposals_per_img() is None
    again = regions.detect()[1].pred_instances
    assert torch.equal(results[1].pred_instances.bboxes, again.bboxes)


def test_detect_and_forward_of_one_stage_do_the_same_arithmetic(cfg, model):
    regions = DetectorRegions(model, make_batch(cfg))
    forward = count_operations(regions.forward)
    assert forward.macs == count_operations(regions.detect).macs > 0


def test_mixed_precision_detects_too(cfg, model):
    regions = DetectorRegions(model, make_batch(cfg), 'amp-bf16')
    assert regions.forward()[0][0].dtype == torch.bfloat16
    assert regions.boxes_per_img() == 20


def test_proposals_of_two_stages_are_told():
    test_cfg = {'rpn': {'nms_pre': 8, 'max_per_img': 6}}
    cfg = load_config('vovnet39_maskrcnn.py', {'model': {'test_cfg': test_cfg}})
    model = build_detector(cfg, device='cpu')
    regions = DetectorRegions(model, make_batch(cfg, (64, 64)))
    proposals = regions.proposals_per_img()
    assert 1 <= proposals <= 6
    scores, *_ = regions.forward()[0]
    assert len(scores) == proposals
