"""Hooks of training: progress, warnings, randomness that survives an interruption."""

from mmeff.engine.batch_norm_guard import BatchNormGuardHook
from mmeff.engine.invalid_loss import InvalidLossHook
from mmeff.engine.progress import ProgressHook
from mmeff.engine.seeding import EpochSeedHook, seed_worker

__all__ = [
    'BatchNormGuardHook',
    'EpochSeedHook',
    'InvalidLossHook',
    'ProgressHook',
    'seed_worker',
]
