"""The line about the learning rate, from settings to the log of a training."""

import pytest
from mmengine.config import Config

from mmeff.apis.train import describe_rate


def settings(images: int, enable: bool = False, **wrapper) -> Config:
    return Config(
        dict(
            train_dataloader=dict(batch_size=images),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.02), **wrapper),
            auto_scale_lr=dict(enable=enable, base_batch_size=16),
        )
    )


def test_another_batch_size_says_what_the_rate_would_be():
    assert describe_rate(settings(2), 1) == (
        'learning rate 0.02 is for 16 images a step, here are 2: '
        '--auto-scale-lr would make it 0.0025'
    )


def test_scaling_says_what_was_done():
    line = describe_rate(settings(8, enable=True), 4)
    assert line.endswith('here are 32: scaled to 0.04')


@pytest.mark.parametrize(
    ('cfg', 'devices'),
    [(settings(2), 8), (settings(2, accumulative_counts=8), 1), (Config(), 1)],
    ids=['it fits', 'gradients are accumulated', 'settings do not tell'],
)
def test_nothing_is_said_when(cfg, devices):
    assert describe_rate(cfg, devices) is None
