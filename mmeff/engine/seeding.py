"""Randomness that depends on (seed, epoch, rank, batch) alone.

A training that is killed and resumed then draws the same numbers as one that never
stopped: the same augmentations, the same sampled RoIs. mmengine seeds once, so a resumed
run goes on from other random states, and its workers repeat the same augmentations in
every epoch.
"""

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook

from mmeff.registry import HOOKS


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def seed_from(*position: int) -> None:
    """Seed python, numpy and torch, alike for alike numbers and independently otherwise.

    Args:
        *position: Numbers of at least 0: a seed, and where a training is.
    """
    # SeedSequence spreads neighbouring inputs over independent streams.
    sequence = np.random.SeedSequence(position)
    _seed_all(int(sequence.generate_state(1, np.uint64)[0] >> 1))


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds python, numpy and torch at the start of every training epoch.

    The seed is the runner's (`randomness=dict(seed=...)`), mixed with epoch and rank.
    From it torch draws the seeds of the workers, which start anew in each epoch.
    `mmeff.EpochTrainLoop` seeds before each batch as well.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Give the sampler the seed of the checkpoint, if the config left it to chance."""
        runner.train_dataloader.batch_sampler.sampler.seed = runner.seed

    def before_train_epoch(self, runner) -> None:
        seed_from(runner.seed, runner.epoch, get_rank())


def seed_worker(worker_id: int, _scope_: str | None = None) -> None:
    """`worker_init_fn` of a training DataLoader: seeds from torch's per-epoch seed.

    torch draws a new base seed whenever workers start, from the state that
    `EpochSeedHook` set. Workers must therefore start anew each epoch
    (`persistent_workers=False`). `_scope_` is what mmengine adds to every dictionary
    with a type when a config is inherited by package name.
    """
    _seed_all(torch.initial_seed())
