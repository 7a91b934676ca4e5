"""What a training makes of its batches: steps, their rate, and the order in memory."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from mmeff.apis.train import train
from mmeff.errors import UserError

from processes import DOWNSTREAM

CONFIG = DOWNSTREAM / 'configs' / 'by_name.py'
LAST = dict(drop_last=True, batch_sampler=None)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(DOWNSTREAM))


def run(tiny_shapes, work_dir, options=None, **kwargs) -> Runner:
    """One epoch on the eight pictures, without evaluation."""
    settings = {
        'train_cfg.max_epochs': 1,
        'train_cfg.val_begin': 9,
        'train_dataloader.num_workers': 0,
    }
    return train(
        CONFIG,
        work_dir=work_dir,
        data=tiny_shapes,
        cfg_options={**settings, **(options or {})},
        **kwargs,
    )


def loader(**kwargs) -> dict:
    return {f'train_dataloader.{key}': value for key, value in kwargs.items()}


def log_of(runner: Runner) -> str:
    return Path(runner.log_dir, f'{runner.timestamp}.log').read_text()


def test_fewer_images_than_a_batch_are_refused_before_training(tiny_shapes, tmp_path):
    options = loader(batch_size=9, **LAST)
    with pytest.raises(UserError) as caught:
        run(tiny_shapes, tmp_path, options)
    assert str(caught.value) == (
        '8 images on 1 processes make no batch of 9, and smaller ones are left out '
        '(drop_last): nothing would be learned. Take more images or smaller batches: '
        '--cfg-options train_dataloader.batch_size=8'
    )
    assert not list(tmp_path.glob('*.pth'))


def test_the_batch_size_that_the_message_names_makes_a_step(tiny_shapes, tmp_path):
    assert run(tiny_shapes, tmp_path, loader(batch_size=8, **LAST)).iter == 1


@pytest.mark.parametrize(
    ('settings', 'rate'),
    [
        ({'auto_scale_lr.enable': False}, 0.08),
        ({}, 0.02),
        ({'optim_wrapper.accumulative_counts': 2}, 0.04),
    ],
    ids=['not scaled', '4 of 16 images', 'two times 4 of 16 images'],
)
def test_rate_fits_the_images_of_a_step(settings, rate, tiny_shapes, tmp_path):
    options = {
        'auto_scale_lr': dict(enable=True, base_batch_size=16),
        'optim_wrapper.optimizer.lr': 0.08,
        'param_scheduler': None,
        **settings,
    }
    runner = run(tiny_shapes, tmp_path, options)
    rates = set(runner.optim_wrapper.get_lr()['lr'])
    assert list(rates) == pytest.approx([rate])
    scaled = f'scaled to {rate:g}' in log_of(runner)
    assert scaled is (rate != 0.08)
    assert runner.cfg.auto_scale_lr.base_batch_size == 16


def test_channels_last_weights_stay_so_through_training_and_resume(
    tiny_shapes, tmp_path
):
    first = run(tiny_shapes, tmp_path, channels_last=True)
    options = {'train_cfg.max_epochs': 2}
    second = run(tiny_shapes, tmp_path, options, channels_last=True, resume='auto')
    assert (first.iter, second.iter) == (2, 4)
    for runner in (first, second):
        weights = [p for p in runner.model.parameters() if p.dim() == 4]
        assert len(weights) > 10
        for weight in weights:
            assert weight.is_contiguous(memory_format=torch.channels_last)
            assert weight.isfinite().all()
