"""Detectors from configs, without network or data."""

import pytest
import torch

from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.errors import UserError

from tiny_detectors import RETINANET, make_detector


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return make_detector(tmp_path_factory.mktemp('retinanet'), RETINANET)


def test_random_weights_are_the_same_each_time(files):
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, second = (build_detector(load_config(files[0]), None, 'cpu') for _ in '12')
    weights = second.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in first.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not first.training


def test_pretrained_weights_are_not_fetched(files):
    cfg = load_config(files[0])
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='http://nowhere/x')
    build_detector(cfg, None, 'cpu')
    assert cfg.model.backbone.init_cfg.type == 'Pretrained'  # the config is untouched


def test_config_without_a_model(tmp_path):
    (tmp_path / 'empty.py').write_text('a = 1\n')
    with pytest.raises(UserError, match='no `model`'):
        build_detector(load_config(tmp_path / 'empty.py'), None, 'cpu')


def test_det_inferencer_in_our_scope(files, tmp_path):
    import numpy as np
    from mmdet.apis import DetInferencer

    config = tmp_path / 'config.py'
    visualizer = dict(type='DetLocalVisualizer', name='test_det_inferencer')
    config.write_text(f'_base_ = {str(files[0])!r}\nvisualizer = {visualizer!r}\n')
    inferencer = DetInferencer(str(config), str(files[1]), 'cpu', scope='mmeff')
    image = np.zeros((64, 64, 3), np.uint8)
    (prediction,) = inferencer(image, no_save_vis=True)['predictions']
    assert set(prediction) >= {'labels', 'scores', 'bboxes'}
