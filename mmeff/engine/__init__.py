"""Hooks of training: progress, warnings, randomness that survives an interruption."""

from mmeff.engine.accumulation import AccumulationHook
from mmeff.engine.batch_norm_guard import BatchNormGuardHook
from mmeff.engine.early_stopping import EarlyStoppingHook
from mmeff.engine.exact_resume import ExactResumeHook
from mmeff.engine.invalid_loss import InvalidLossHook
from mmeff.engine.mean_loss import MeanLossHook
from mmeff.engine.progress import ProgressHook
from mmeff.engine.seeding import EpochSeedHook, seed_worker
from mmeff.engine.train_loop import EpochTrainLoop

__all__ = [
    'AccumulationHook',
    'BatchNormGuardHook',
    'EarlyStoppingHook',
    'EpochSeedHook',
    'EpochTrainLoop',
    'ExactResumeHook',
    'InvalidLossHook',
    'MeanLossHook',
    'ProgressHook',
    'seed_worker',
]
