"""Hooks of training, on a runner that does nothing else."""

import logging
import random
from types import SimpleNamespace

import numpy as np
import torch

from mmeff.engine import EpochSeedHook, ProgressHook, seed_worker


def draws(seed: int, epoch: int) -> tuple:
    EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=epoch))
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_draws_depend_on_seed_and_epoch_alone():
    first = draws(0, 3)
    random.random(), torch.rand(5)
    assert draws(0, 3) == first
    assert len({draws(0, 3), draws(0, 4), draws(1, 3)}) == 3


def test_workers_follow_the_epoch_and_differ():
    def sample(epoch: int) -> list[float]:
        draws(0, epoch)
        loader = torch.utils.data.DataLoader(
            RandomData(), batch_size=1, num_workers=2, worker_init_fn=seed_worker
        )
        return [batch.item() for batch in loader]

    first = sample(0)
    assert sample(0) == first
    assert sample(1) != first
    assert len(set(first)) == len(first)


class RandomData(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return np.random.rand()


def batch():
    return {'data_samples': [SimpleNamespace(img_path='a.jpg')]}


def make_runner() -> SimpleNamespace:
    lr = SimpleNamespace(get_lr=lambda: {'lr': [0.01]})
    return SimpleNamespace(
        iter=4,
        epoch=0,
        max_iters=10,
        max_epochs=2,
        optim_wrapper=lr,
        logger=logging.getLogger('progress-test'),
    )


def test_progress_line_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr('sys.stdout.isatty', lambda: True, raising=False)
    monkeypatch.setenv('FORCE_COLOR', '1')
    hook, runner = ProgressHook(), make_runner()
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    hook.after_train_iter(runner, 0, batch(), {'loss': torch.tensor(0.25)})
    hook.after_train(runner)
    out = capsys.readouterr().out
    for part in ('epoch 1/2', '5/10', 'loss 0.250', 'lr 1.00e-02', 'img/s'):
        assert part in out


def test_no_progress_line_in_a_file(capsys):
    hook, runner = ProgressHook(), make_runner()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, batch(), {'loss': torch.tensor(0.25)})
    hook.after_train(runner)
    assert capsys.readouterr().out == ''
