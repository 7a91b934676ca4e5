"""The short way from an image to the network's input, against mmdet's own."""

import copy

import numpy as np
import pytest
import torch
from mmdet.apis.inference import Compose, get_test_pipeline_cfg
from mmdet.models import DetDataPreprocessor
from mmengine.config import Config

from mmeff.deploy.preprocess import (
    Preprocess,
    QuickPreprocessor,
    speed_up_preprocessor,
)
from mmeff.errors import UserError

from tiny_detectors import picture

SMALL = {'type': 'mmdet.Resize', 'scale': (96, 64), 'keep_ratio': True}
PACK = {'type': 'mmdet.PackDetInputs'}
SHORTEST = {'type': 'mmdet.ResizeShortestEdge', 'scale': 64, 'max_size': 99}
ANNOTATIONS = {'type': 'LoadAnnotations', 'with_bbox': True}


def config(*steps: dict, **loading) -> Config:
    pipeline = [{'type': 'LoadImageFromFile', **loading}, *steps]
    dataset = {'type': 'CocoDataset', 'pipeline': pipeline}
    return Config({'test_dataloader': {'dataset': dataset}})


def of_mmdet(cfg: Config, image: np.ndarray) -> dict:
    """What mmdet makes of an array."""
    steps = copy.deepcopy(get_test_pipeline_cfg(cfg))
    steps[0]['type'] = 'mmdet.LoadImageFromNDArray'
    return Compose(steps)({'img': image, 'img_id': 0})


def without_annotations(cfg: Config) -> Config:
    cfg = copy.deepcopy(cfg)
    dataset = cfg.test_dataloader.dataset
    dataset.pipeline = [step for step in dataset.pipeline if step != ANNOTATIONS]
    return cfg


@pytest.mark.parametrize(
    'cfg',
    [
        config(SMALL, PACK),
        config(SMALL, ANNOTATIONS, PACK),
        config({**SMALL, 'keep_ratio': False}, PACK),
        config({**SMALL, 'type': 'mmdet.FixScaleResize'}, PACK),
        config({**SMALL, 'interpolation': 'area'}, PACK),
        config({**SMALL, 'backend': 'pillow'}, PACK),
        config(SMALL, {**PACK, 'meta_keys': ('img_shape', 'scale', 'keep_ratio')}),
        config({'type': 'mmdet.Resize', 'scale_factor': 0.5}, PACK),
        config(SMALL, {'type': 'mmdet.Pad', 'size_divisor': 32}, PACK),
        config(SMALL, {**PACK, 'meta_keys': ('homography_matrix',)}),
        config(SHORTEST, PACK),
        config(SMALL, PACK, to_float32=True),
    ],
)
@pytest.mark.parametrize('shape', [(90, 131), (1, 1), (3, 40)])
def test_pipeline_gives_what_mmdets_gives(cfg, shape):
    image = picture(0, *shape)[..., ::-1]  # not contiguous
    found, expected = Preprocess(cfg)(image), of_mmdet(without_annotations(cfg), image)
    assert found['inputs'].dtype == expected['inputs'].dtype
    assert found['inputs'].is_contiguous()
    assert torch.equal(found['inputs'], expected['inputs'])
    known, wanted = (each['data_samples'].metainfo for each in (found, expected))
    assert known.keys() == wanted.keys()
    for key, value in wanted.items():
        assert np.array_equal(known[key], value)


@pytest.mark.parametrize('steps', [(SMALL, PACK), (SMALL, ANNOTATIONS, PACK)])
def test_usual_pipelines_go_the_short_way(steps):
    assert Preprocess(config(*steps))._steps is not None
    assert Preprocess(config(*steps, to_float32=True))._steps is None


def test_path_is_in_the_metainfo():
    for steps in (
        (SMALL, PACK),
        (SMALL, {'type': 'mmdet.Pad', 'size_divisor': 32}, PACK),
    ):
        packed = Preprocess(config(*steps))(picture(0), '/photos/a.jpg')
        assert packed['data_samples'].img_path == '/photos/a.jpg'


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_image_that_would_vanish_has_a_message(backend):
    preprocess = Preprocess(config({**SMALL, 'backend': backend}, PACK))
    with pytest.raises(UserError, match='array: an image of 8000x3 pixels'):
        preprocess(np.zeros((3, 8000, 3), np.uint8))


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (Config({}), 'no `test_dataloader`'),
        (
            Config({'test_dataloader': {'dataset': {'pipeline': [PACK, PACK]}}}),
            'begins with mmdet.PackDetInputs; expected LoadImageFromFile',
        ),
        (
            config({'type': 'mmdet.Resize'}, PACK),
            '`test_pipeline` of the config cannot be',
        ),
    ],
)
def test_config_without_usable_pipeline_has_a_message(cfg, message):
    with pytest.raises(UserError, match=message):
        Preprocess(cfg)


NORMALISE = {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375]}


def batch(*shapes: tuple[int, int]) -> dict:
    preprocess = Preprocess(config({'type': 'mmdet.Resize', 'scale_factor': 1.0}, PACK))
    packed = [preprocess(picture(0, *shape)) for shape in shapes]
    return {key: [each[key] for each in packed] for key in packed[0]}


def quick(**settings) -> tuple[QuickPreprocessor, DetDataPreprocessor]:
    model = torch.nn.Module()
    model.data_preprocessor = DetDataPreprocessor(**settings)
    slow = copy.deepcopy(model.data_preprocessor)
    speed_up_preprocessor(model)
    return model.data_preprocessor, slow


@pytest.mark.parametrize(
    'settings',
    [
        {**NORMALISE, 'bgr_to_rgb': True},
        {'mean': [110, 100, 90], 'std': [60, 50, 1], 'pad_size_divisor': 32},
        {**NORMALISE, 'rgb_to_bgr': True, 'pad_size_divisor': 32, 'pad_value': 7},
        {'bgr_to_rgb': True},
        {'mean': [110], 'std': [60]},
    ],
)
@pytest.mark.parametrize('shapes', [[(64, 96)], [(33, 20), (64, 7), (1, 70)]])
def test_batch_is_equal_to_the_bit(settings, shapes):
    fast, slow = quick(**settings)
    assert type(fast) is QuickPreprocessor
    found, expected = fast(batch(*shapes)), slow(batch(*shapes))
    assert found['inputs'].dtype == torch.float32
    assert torch.equal(found['inputs'], expected['inputs'])
    for one, other in zip(found['data_samples'], expected['data_samples'], strict=True):
        assert one.metainfo == other.metainfo


def test_other_inputs_go_mmdets_way():
    fast, slow = quick(**NORMALISE)
    data = batch((8, 9), (8, 9))
    floats = {'inputs': [image / 2 for image in data['inputs']]}
    stacked = {'inputs': torch.stack(data['inputs'])}
    for inputs in (floats, stacked):
        found, expected = fast({**data, **inputs}), slow({**data, **inputs})
        assert torch.equal(found['inputs'], expected['inputs'])
    without = fast({'inputs': data['inputs']})
    assert without['data_samples'] is None


def test_samples_of_the_caller_stay_as_they_are():
    fast, _ = quick(**NORMALISE)
    data = batch((8, 9))
    fast(data)
    assert 'pad_shape' not in data['data_samples'][0].metainfo


def test_subclasses_are_left_alone():
    class Own(DetDataPreprocessor):
        pass

    model = torch.nn.Module()
    model.data_preprocessor = Own(**NORMALISE)
    speed_up_preprocessor(model)
    assert type(model.data_preprocessor) is Own


@pytest.mark.gpu
def test_batch_on_a_gpu_is_that_of_mmdet():
    fast, slow = (each.cuda() for each in quick(**NORMALISE, bgr_to_rgb=True))
    found, expected = (each(batch((33, 20), (64, 7))) for each in (fast, slow))
    assert found['inputs'].is_cuda
    assert torch.equal(found['inputs'], expected['inputs'])
