"""The warning about BatchNorm on few images, on models whose layers are known."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mmeff.engine.batch_norm_guard as guard
from mmeff.config import CONFIGS
from mmeff.models import VoVNet

SYNC = dict(type='SyncBN')
GROUP = dict(type='GN', num_groups=16)


def warnings(model: nn.Module, images: int, caplog) -> list[str]:
    data = TensorDataset(torch.zeros(32, 1))
    runner = SimpleNamespace(
        model=model,
        train_dataloader=DataLoader(data, batch_size=images),
        logger=logging.getLogger('guard-test'),
    )
    caplog.clear()
    guard.BatchNormGuardHook().before_train(runner)
    return [record.message for record in caplog.records]


def backbone(**kwargs) -> VoVNet:
    return VoVNet('v2-19-slim-dw', out_indices=(0,), **kwargs)


def test_few_images_are_named_with_their_layers_and_the_remedies(caplog):
    model = nn.ModuleDict({'backbone': backbone()})
    layers = sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    (message,) = warnings(model, 2, caplog)
    assert f'{layers} BatchNorm layers learn from 2 images per device' in message
    assert 'the first is backbone.stem.0.norm' in message
    for remedy in ('batch_size=8', "'SyncBN'", "'GN'", 'norm_eval=True'):
        assert remedy in message


@pytest.mark.parametrize(
    ('images', 'kwargs'),
    [(8, {}), (2, dict(norm_eval=True)), (1, dict(norm_cfg=GROUP))],
    ids=['enough images', 'fixed statistics', 'group norm'],
)
def test_no_warning_where_there_is_no_danger(images, kwargs, caplog):
    assert warnings(backbone(**kwargs), images, caplog) == []


def test_only_layers_that_learn_statistics_count(caplog):
    learning = backbone(frozen_stages=0).train()
    count = sum(
        isinstance(part, nn.BatchNorm2d) and part.training
        for part in learning.modules()
    )
    assert 0 < count < sum(isinstance(p, nn.BatchNorm2d) for p in learning.modules())
    (message,) = warnings(backbone(frozen_stages=0), 2, caplog)
    assert message.startswith(f'{count} BatchNorm layers')


def test_synchronised_layers_see_the_images_of_all_devices(monkeypatch, caplog):
    assert warnings(backbone(norm_cfg=SYNC), 2, caplog)
    monkeypatch.setattr(guard, 'get_world_size', lambda: 8)
    assert not warnings(backbone(norm_cfg=SYNC), 2, caplog)
    (message,) = warnings(backbone(), 2, caplog)
    assert 'from 2 images per device (16 in all)' in message


def test_batch_samplers_of_mmdet_tell_their_size(caplog):
    """They take the place of the loader's `batch_size`, which is None then."""
    data = TensorDataset(torch.zeros(32, 1))
    sampler = torch.utils.data.BatchSampler(range(32), 2, drop_last=False)
    runner = SimpleNamespace(
        model=backbone(),
        train_dataloader=DataLoader(data, batch_sampler=sampler),
        logger=logging.getLogger('guard-test'),
    )
    assert runner.train_dataloader.batch_size is None
    guard.BatchNormGuardHook().before_train(runner)
    assert 'from 2 images per device' in caplog.text


def test_every_config_has_the_guard():
    cfg = Config.fromfile(CONFIGS / '_base_/default_runtime.py')
    assert dict(type='mmeff.BatchNormGuardHook') in cfg.custom_hooks
