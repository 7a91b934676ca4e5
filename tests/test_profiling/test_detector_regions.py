"""Inputs and regions of real detectors, as the measurements meet them."""

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.errors import UserError
from mmeff.profiling.counts import count_operations
from mmeff.profiling.detector import DetectorRegions, _network_parts
from mmeff.profiling.inputs import make_batch, make_loader, synthetic_image

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
    assert first['inputs'][0].float().std() > 30


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


def test_pipeline_reads_the_file_each_time(cfg, model, tmp_path):
    path = tmp_path / 'image.png'
    Image.fromarray(np.full((100, 200, 3), (255, 0, 0), np.uint8)).save(path)
    load = make_loader(cfg, path, batch=2)
    regions = DetectorRegions(model, make_batch(cfg, image=path, batch=2), load=load)
    from_file, from_memory = regions.pipeline(), regions.detect()
    assert len(from_file) == 2
    assert from_file[0].img_path == str(path)
    assert from_file[0].ori_shape == (100, 200)
    boxes = [results[1].pred_instances.bboxes for results in (from_file, from_memory)]
    assert torch.equal(*boxes)
    Image.fromarray(np.full((200, 200, 3), 9, np.uint8)).save(path)
    assert regions.pipeline()[0].ori_shape == (200, 200)


def test_synthetic_image_is_as_large_a_jpeg_as_a_photograph(tmp_path):
    image = synthetic_image(load_config('ssd300_mobilenetv1_voc.py'))
    assert image.shape == (300, 300, 3)
    Image.fromarray(image).save(tmp_path / 'image.jpg', quality=95)
    assert 0.3 < (tmp_path / 'image.jpg').stat().st_size / 300**2 < 1


def test_channels_last_reaches_weights_input_and_output(cfg):
    regions = DetectorRegions(build_detector(cfg, device='cpu'), make_batch(cfg))
    plain = regions.forward()
    regions.use_channels_last()
    scores, _ = regions.forward()
    layout = torch.channels_last
    assert regions.inputs.is_contiguous(memory_format=layout)
    assert scores[0].is_contiguous(memory_format=layout)
    assert torch.allclose(scores[0], plain[0][0], atol=1e-4)


def test_every_part_of_a_detector_is_compiled_once():
    cfg = load_config('vovnet39_maskrcnn.py')
    model = build_detector(cfg, device='cpu')
    parts = list(_network_parts(model))
    heads = [model.roi_head.bbox_head, model.roi_head.mask_head]
    assert parts == [model.backbone, model.neck, model.rpn_head, *heads]


def test_network_that_cannot_be_compiled_is_a_message(cfg, monkeypatch):
    model = build_detector(cfg, device='cpu')
    regions = DetectorRegions(model, make_batch(cfg, (64, 64)))

    def fail(*_):
        raise ZeroDivisionError('no such kernel')

    monkeypatch.setattr(torch, 'compile', partial(torch.compile, backend=fail))
    with pytest.raises(UserError, match=r'compile the network.*no such kernel'):
        regions.compile()


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
