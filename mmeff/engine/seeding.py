"""Randomness that depends on (seed, epoch, rank) alone.

A training that is killed and resumed then draws the same numbers in epoch n as one that
never stopped: the same augmentations, the same sampled RoIs. mmengine seeds once, so a
resumed run goes on from other random states, and its workers repeat the same
augmentations in every epoch.
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


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds python, numpy and torch at the start of every training epoch.

    The seed is the runner's (`randomness=dict(seed=...)`), mixed with epoch and rank.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        # SeedSequence spreads neighbouring inputs over independent streams.
        sequence = np.random.SeedSequence((runner.seed, runner.epoch, get_rank()))
        _seed_all(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def seed_worker(worker_id: int, _scope_: str | None = None) -> None:
    """`worker_init_fn` of a training DataLoader: seeds from torch's per-epoch seed.

    torch draws a new base seed whenever workers start, from the state that
    `EpochSeedHook` set. Workers must therefore start anew each epoch
    (`persistent_workers=False`). `_scope_` is what mmengine adds to every dictionary
    with a type when a config is inherited by package name.
    """
    _seed_all(torch.initial_seed())
