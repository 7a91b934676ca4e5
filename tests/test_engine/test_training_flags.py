"""Hooks behind the flags of training, on a Runner whose network is a line."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from toy_training import Scripted, Toy, items, toy_runner

from mmeff.engine import (
    AccumulationHook,
    EarlyStoppingHook,
    ExactResumeHook,
    InvalidLossHook,
)
from mmeff.errors import UserError


def state(runner) -> dict[str, torch.Tensor]:
    """Weights, BatchNorm statistics and momentum, copied."""
    slots = runner.optim_wrapper.optimizer.state_dict()['state']
    momentum = {f'momentum {i}': slot['momentum_buffer'] for i, slot in slots.items()}
    tensors = {**runner.model.state_dict(), **momentum}
    return {key: value.clone() for key, value in tensors.items()}


def assert_same(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def log_of(runner) -> str:
    for handler in runner.logger.handlers:
        handler.flush()
    return Path(runner.log_dir, f'{runner.timestamp}.log').read_text()


def wrapper(**kwargs) -> dict:
    return {'type': 'OptimWrapper', **kwargs}


@pytest.mark.parametrize('kind', ['input', 'gradient'])
@pytest.mark.parametrize('first', [0, 4], ids=['first batch', 'third batch'])
def test_skipped_step_leaves_nothing_behind(kind, first, tmp_path):
    data = items(12, {first: kind})
    hook = InvalidLossHook('skip')
    runner = toy_runner(tmp_path / 'skip', data, 2, [hook])
    runner.train()
    sound = data[:first] + data[first + 2 :]
    without = toy_runner(tmp_path / 'without', sound, 2, [InvalidLossHook()])
    without.train()
    assert (runner.iter, without.iter) == (6, 5)
    assert_same(state(runner), state(without))
    log = log_of(runner)
    what = 'loss = nan, loss_toy = nan' if kind == 'input' else 'the gradient is not'
    assert f'iteration {first // 2 + 1}: {what}' in log
    assert f'Images: {first}.jpg, {first + 1}.jpg' in log
    assert '1 steps were left out' in log
    assert 'loss: nan' not in log


def test_statistics_are_put_back_where_the_loss_does_not_show_them(tmp_path):
    class Blind(Toy):
        """Does not use what is not finite, as SSD does in a batch without objects."""

        def forward(self, inputs, data_samples, mode='tensor'):
            out = self.norm(torch.stack(inputs))
            return {'loss_toy': self.line(out[:, :0].new_zeros(1, 4)).square().mean()}

    runner = toy_runner(
        tmp_path / 'run', items(4, {2: 'input'}), 2, [InvalidLossHook('skip')], Blind()
    )
    runner.train()
    assert all(value.isfinite().all() for value in state(runner).values())
    assert 'iteration 2: BatchNorm statistics are not finite' in log_of(runner)


def test_stop_names_the_batch_and_leaves_the_weights_before_it(tmp_path):
    data = items(6, {3: 'input'})
    runner = toy_runner(tmp_path / 'stop', data, 2, [InvalidLossHook()])
    pattern = (
        r'iteration 2: loss = nan, loss_toy = nan. Images: 2.jpg, 3.jpg. The batch'
    )
    with pytest.raises(UserError, match=pattern):
        runner.train()
    before = toy_runner(tmp_path / 'before', data[:2], 2, [InvalidLossHook()])
    before.train()
    found, expected = state(runner), state(before)
    for key in ('line.weight', 'line.bias', 'momentum 0', 'momentum 3'):
        assert torch.equal(found[key], expected[key])


def test_saved_batch_is_plain_arrays(tmp_path):
    data = items(4, {3: 'input'})
    runner = toy_runner(tmp_path, data, 2, [InvalidLossHook()])
    with pytest.raises(UserError) as caught:
        runner.train()
    path = tmp_path / 'invalid_batches' / 'iter_2.npz'
    assert str(path) in str(caught.value)
    with np.load(path) as batch:  # which refuses pickled objects
        meta = json.loads(str(batch['meta']))
        assert np.isfinite(batch['image_0']).all()
        assert np.isnan(batch['image_1'][1])
        assert batch['bboxes_1'].tolist() == [[0, 0, 5, 3]]
        assert batch['labels_1'].tolist() == [3]
    assert (meta['iteration'], meta['epoch']) == (2, 1)
    assert [image['img_path'] for image in meta['images']] == ['2.jpg', '3.jpg']


def test_batch_that_cannot_be_written_does_not_hide_the_reason(tmp_path):
    runner = toy_runner(tmp_path, items(2, {0: 'input'}), 2, [InvalidLossHook()])
    (tmp_path / 'invalid_batches').write_text('a file where the folder should be')
    with pytest.raises(UserError, match=r'loss = nan.*could not be written'):
        runner.train()


def test_too_many_skips_in_a_row_stop(tmp_path):
    bad = dict.fromkeys((4, 6, 10, 12, 14), 'input')
    hook = InvalidLossHook('skip', max_skips=2)
    runner = toy_runner(tmp_path, items(20, bad), 2, [hook])
    with pytest.raises(UserError, match=r'iteration 8: .*2 steps before it were left'):
        runner.train()
    assert all(value.isfinite().all() for value in state(runner).values())


def test_unknown_action_is_refused():
    with pytest.raises(ValueError, match="action='ignore': expected one of stop, skip"):
        InvalidLossHook('ignore')


@pytest.mark.parametrize('kind', ['input', 'gradient'])
def test_bad_batch_leaves_out_the_whole_accumulated_step(kind, tmp_path):
    data = items(12, {3: kind})
    settings = {'optim_wrapper': wrapper(accumulative_counts=2)}
    runner = toy_runner(
        tmp_path / 'skip', data, 2, [InvalidLossHook('skip')], **settings
    )
    runner.train()
    settings = {'optim_wrapper': wrapper(accumulative_counts=2)}
    without = toy_runner(tmp_path / 'without', data[4:], 2, [], **settings)
    without.train()
    assert_same(state(runner), state(without))
    saved = sorted(path.stem for path in (tmp_path / 'skip').glob('invalid_*/*'))
    assert saved == (['iter_2'] if kind == 'input' else ['iter_1', 'iter_2'])


def test_scaler_keeps_its_scale_over_a_skipped_step(tmp_path):
    amp = {'type': 'AmpOptimWrapper', 'loss_scale': {'init_scale': 8.0}}
    runner = toy_runner(
        tmp_path,
        items(6, {2: 'input'}),
        2,
        [InvalidLossHook('skip')],
        optim_wrapper=amp,
    )
    scaler = torch.amp.GradScaler('cpu', init_scale=8.0)
    runner.register_hook(UseScaler(scaler), 'VERY_HIGH')
    runner.train()
    assert scaler.get_scale() == 8.0
    assert all(value.isfinite().all() for value in state(runner).values())


class UseScaler(Hook):
    """What a GPU has by itself; mmeff gives CPUs a scaler that is turned off."""

    def __init__(self, scaler) -> None:
        self.scaler = scaler

    def before_train(self, runner) -> None:
        runner.optim_wrapper.loss_scaler = self.scaler


def test_scaler_deals_with_infinite_gradients_itself(tmp_path):
    amp = {'type': 'AmpOptimWrapper', 'loss_scale': {'init_scale': 8.0}}
    data = items(6, {2: 'gradient'})
    runner = toy_runner(tmp_path, data, 2, [InvalidLossHook()], optim_wrapper=amp)
    scaler = torch.amp.GradScaler('cpu', init_scale=8.0)
    runner.register_hook(UseScaler(scaler), 'VERY_HIGH')
    runner.train()  # does not stop
    assert scaler.get_scale() == 4.0
    assert all(value.isfinite().all() for value in state(runner).values())


def test_epoch_ends_with_a_step_of_its_own_gradients(tmp_path):
    """Five batches, two a step: 1+2, 3+4 and 5 alone, in both epochs."""
    data, model = items(5), Toy(batch_norm=False)
    twin = Toy(batch_norm=False)
    runner = toy_runner(
        tmp_path,
        data,
        1,
        [AccumulationHook(2)],
        model,
        optim_wrapper=wrapper(accumulative_counts=2),
        train_cfg={'by_epoch': True, 'max_epochs': 2},
    )
    runner.train()
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        for part in (data[:2], data[2:4], data[4:]):
            inputs = [item['inputs'] for item in part]
            samples = [item['data_samples'] for item in part]
            optimizer.zero_grad()
            twin(inputs, samples, 'loss')['loss_toy'].backward()
            optimizer.step()
    torch.testing.assert_close(model.state_dict(), twin.state_dict())


SCORES = [0.10, 0.30, 0.3005, 0.25, 0.40, 0.4003, 0.39, 0.40, 0.9]


def stopping_run(work_dir, hooks=(), **kwargs):
    metric = Scripted(SCORES)
    runner = toy_runner(
        work_dir,
        items(2),
        2,
        [EarlyStoppingHook(patience=3), ExactResumeHook(), *hooks],
        metric=metric,
        train_cfg={'by_epoch': True, 'max_epochs': 9},
        **kwargs,
    )
    return runner, metric


class Killed(Hook):
    """Ends the process between a checkpoint and the end of its evaluation."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def before_val(self, runner) -> None:
        if runner.epoch == self.epoch:
            raise KeyboardInterrupt


def test_early_stop_counts_improvements_of_at_least_a_thousandth(tmp_path):
    runner, metric = stopping_run(tmp_path)
    runner.train()
    assert metric.seen == [1, 2, 3, 4, 5, 6, 7, 8]
    assert not (tmp_path / 'epoch_9.pth').exists()


@pytest.mark.parametrize('epoch', [3, 6, 8])
def test_early_stop_after_resume_is_at_the_same_epoch(epoch, tmp_path):
    runner, _ = stopping_run(tmp_path, [Killed(epoch)])
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    runner, metric = stopping_run(tmp_path, resume=True)
    runner.train()
    # first the evaluation that the interruption took
    assert metric.seen == list(range(epoch, 9))
    assert not (tmp_path / 'epoch_9.pth').exists()
    best = runner.message_hub.runtime_info
    assert best['best_score'] == 0.4003
    assert best['early_stopping']['best_score'] == 0.40


def test_stopped_training_stays_stopped_when_resumed(tmp_path):
    stopping_run(tmp_path)[0].train()
    runner, metric = stopping_run(tmp_path, resume=True)
    runner.train()
    assert metric.seen == [8]
    assert runner.epoch == 8
    best = tmp_path / 'best_toy_mAP_epoch_6.pth'
    assert best.exists()


def test_early_stop_without_its_metric_has_a_message(tmp_path):
    metric = Scripted(SCORES)
    hook = EarlyStoppingHook('coco/bbox_mAP')
    runner = toy_runner(tmp_path / 'a', items(2), 2, [hook], metric=metric)
    with pytest.raises(UserError, match=r'watches coco/bbox_mAP, .* gives toy/mAP'):
        runner.train()
    runner = toy_runner(tmp_path / 'b', items(2), 2, [EarlyStoppingHook()])
    with pytest.raises(UserError, match='watches an evaluation, and the config has'):
        runner.train()


def test_losses_are_watched_downwards(tmp_path):
    hook = EarlyStoppingHook('auto', patience=2, min_delta=0.1, rule='less')
    metric = Scripted([0.9, 0.7, 0.65, 0.61, 0.1])
    runner = toy_runner(
        tmp_path,
        items(2),
        2,
        [hook],
        metric=metric,
        train_cfg={'by_epoch': True, 'max_epochs': 5},
    )
    runner.train()
    assert metric.seen == [1, 2, 3, 4]


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.WARNING)
