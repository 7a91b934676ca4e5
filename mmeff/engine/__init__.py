"""Hooks of training: progress, and randomness that survives an interruption."""

from mmeff.engine.invalid_loss import InvalidLossHook
from mmeff.engine.progress import ProgressHook
from mmeff.engine.seeding import EpochSeedHook, seed_worker

__all__ = ['EpochSeedHook', 'InvalidLossHook', 'ProgressHook', 'seed_worker']
