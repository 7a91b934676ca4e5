"""Flags of `mmeff train` on a detector: what they make of its weights."""

import math
from pathlib import Path

import pytest
import torch
from mmdet.registry import HOOKS, TRANSFORMS
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny_training import SSDLITE, WITH_BATCH_NORM

from mmeff.apis import train_flags
from mmeff.apis.train import train
from mmeff.checkpoints.detector import build_detector
from mmeff.checkpoints.safe import load_file
from mmeff.config import load_config
from mmeff.errors import UserError


@pytest.fixture(autouse=True)
def _plain_configs(monkeypatch):
    """Laying out the config for the log, five times a run, takes longer than the run."""
    monkeypatch.setattr(
        'mmengine.config.config.FormatCode', lambda text, **_: (text, True)
    )


@TRANSFORMS.register_module()
class PoisonImages:
    """Makes images that are no numbers, as a faulty augmentation does."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __call__(self, results: dict) -> dict:
        results['img'] = results['img'].astype('float32')
        if Path(results['img_path']).stem in self.names:
            results['img'][3, 3] = float('nan')
        return results


@HOOKS.register_module()
class WeightsRecorder(Hook):
    """Copies of the weights after every iteration, and of those that are evaluated."""

    trained: list[dict] = []
    evaluated: list[dict] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.trained.append(copy_of(runner.model.state_dict()))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.evaluated.append(copy_of(runner.model.state_dict()))


@pytest.fixture
def run(tiny_shapes, tmp_path):
    """run(name, config text, options, **flags) -> the runner after training."""

    def go(name, config=SSDLITE, options=None, **flags):
        path = tmp_path / f'{name}.py'
        path.write_text(config)
        return train(
            path,
            work_dir=tmp_path / name,
            data=tiny_shapes,
            cfg_options={'train_dataloader.sampler.shuffle': False, **(options or {})},
            **flags,
        )

    return go


def copy_of(tensors: dict) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in tensors.items()}


def assert_same(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


@pytest.mark.slow
def test_two_batches_of_two_make_the_step_of_one_of_four(run):
    # The same matches in both halves, for the loss is divided by their number.
    images = {'train_dataloader.dataset.indices': [0, 1, 1, 0]}
    whole = run('whole', options={'train_dataloader.batch_size': 4, **images})
    parts = run('parts', accumulate=2, options=images)
    single = run('single', options={'train_dataloader.dataset.indices': [0, 1]})
    assert (whole.iter, parts.iter, single.iter) == (1, 2, 1)
    expected = whole.model.state_dict()
    for key, value in parts.model.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-7)


def averages(trained: list[dict], momentum: float) -> dict[str, torch.Tensor]:
    """The moving average by its formula in float64, momentum falling from 1."""
    mean = {key: value.double() for key, value in trained[0].items()}
    for step, weights in enumerate(trained[1:], 1):
        share = (1 - momentum) * math.exp(-(1 + step) / 2000) + momentum
        for key, value in weights.items():
            mean[key] = (1 - share) * mean[key] + share * value.double()
    return mean


@pytest.mark.slow
def test_average_is_evaluated_saved_and_resumed(run, tmp_path):
    WeightsRecorder.trained.clear(), WeightsRecorder.evaluated.clear()
    recorded = "custom_hooks = [*_base_.custom_hooks, dict(type='WeightsRecorder')]\n"
    epochs = {'train_cfg.max_epochs': 2, 'train_cfg.val_begin': 2}
    run('whole', WITH_BATCH_NORM + recorded, epochs, ema=0.3)
    path = tmp_path / 'whole' / 'epoch_2.pth'
    saved, raw = load_file(path)['state_dict'], WeightsRecorder.trained[-1]
    expected = averages(WeightsRecorder.trained, 0.3)
    assert len(WeightsRecorder.trained) == 8
    for key, value in saved.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[key].float())
    assert not torch.equal(
        saved['bbox_head.cls_convs.0.1.bias'], raw['bbox_head.cls_convs.0.1.bias']
    )
    assert_same(WeightsRecorder.evaluated[0], saved)
    (best,) = (tmp_path / 'whole').glob('best_*.pth')
    assert_same(load_file(best)['state_dict'], saved)
    config = tmp_path / 'whole' / 'whole.py'
    detector = build_detector(load_config(config), path, 'cpu')
    assert_same(detector.state_dict(), saved)

    run(
        'rest',
        WITH_BATCH_NORM,
        epochs,
        ema=0.3,
        resume=str(tmp_path / 'whole' / 'epoch_1.pth'),
    )
    rest, whole = load_file(tmp_path / 'rest' / 'epoch_2.pth'), load_file(path)
    for part in ('state_dict', 'ema_state_dict'):
        assert_same(rest[part], whole[part])


def test_poisoned_images_leave_no_trace(run, tmp_path):
    poisoned = WITH_BATCH_NORM + (
        "train_pipeline.insert(3, dict(type='PoisonImages', names=['train_000000', 'train_000005']))\n"
    )
    skipped = run('skipped', poisoned, nan_guard='skip', ema=True)
    sound = {'train_dataloader.dataset.indices': [2, 3, 6, 7]}
    expected = run('expected', WITH_BATCH_NORM, sound)
    assert (skipped.iter, expected.iter) == (4, 2)
    assert_same(skipped.model.state_dict(), expected.model.state_dict())
    slots = [
        r.optim_wrapper.optimizer.state_dict()['state'] for r in (skipped, expected)
    ]
    for mine, other in zip(slots[0].values(), slots[1].values(), strict=True):
        assert torch.equal(mine['momentum_buffer'], other['momentum_buffer'])
    checkpoint = load_file(tmp_path / 'skipped' / 'epoch_1.pth')
    for part in ('state_dict', 'ema_state_dict'):
        assert all(value.isfinite().all() for value in checkpoint[part].values())
    files = sorted(path.name for path in (tmp_path / 'skipped').glob('invalid_*/*'))
    assert files == ['iter_1.npz', 'iter_3.npz']


def test_poisoned_image_stops_by_default(run, tmp_path):
    poisoned = SSDLITE + (
        "train_pipeline.insert(3, dict(type='PoisonImages', names=['train_000005']))\n"
    )
    with pytest.raises(
        UserError, match=r'iteration 3: .*000004.jpg, .*000005.jpg.*npz'
    ):
        run('stopped', poisoned)
    assert not list((tmp_path / 'stopped').glob('*.pth'))


def settings(**kwargs) -> Config:
    hooks = {'checkpoint': {'save_best': 'coco/bbox_mAP'}}
    return Config({'default_hooks': hooks, 'optim_wrapper': {}, **kwargs})


def test_early_stop_watches_what_save_best_does():
    cfg = settings()
    train_flags.set_early_stop(cfg, 4)
    (hook,) = cfg.custom_hooks
    assert (hook.type, hook.patience) == ('mmeff.EarlyStoppingHook', 4)
    assert hook.monitor == 'coco/bbox_mAP'


def test_hooks_of_the_config_are_set_and_not_doubled():
    own = [
        {'type': 'EMAHook', 'ema_type': 'StochasticWeightAverage'},
        {'type': 'mmengine.EarlyStoppingHook', 'monitor': 'loss'},
        {'type': 'mmeff.InvalidLossHook'},
    ]
    cfg = settings(custom_hooks=own)
    train_flags.set_ema(cfg)
    train_flags.set_early_stop(cfg, 4)
    train_flags.set_nan_guard(cfg, 'skip')
    assert [hook.to_dict() for hook in cfg.custom_hooks] == [
        own[0],
        {**own[1], 'patience': 4},
        {**own[2], 'action': 'skip'},
    ]


@pytest.mark.parametrize(
    ('flag', 'value', 'message'),
    [
        ('set_accumulate', 0, '--accumulate 0: expected 1 batch'),
        ('set_ema', 1.5, '--ema 1.5: expected the share of the newest weights'),
        ('set_early_stop', 0, '--early-stop 0: expected 1 evaluation'),
    ],
)
def test_values_that_make_no_sense_have_a_message(flag, value, message):
    with pytest.raises(UserError, match=message):
        getattr(train_flags, flag)(settings(), value)
