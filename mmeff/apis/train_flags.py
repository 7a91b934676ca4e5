"""Flags of `mmeff train` that are shorthands for settings of a config."""

from mmengine.config import Config

from mmeff.errors import UserError

EMA_MOMENTUM = 0.0002  # mmdet's


def set_amp(cfg: Config) -> None:
    """Mixed precision: float16 on a GPU, bfloat16 on a CPU."""
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_auto_scale_lr(cfg: Config) -> None:
    """Scale the rate with the batch.

    Raises:
        UserError: The config does not say for which batch its rate is.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise UserError(
            '--auto-scale-lr: the config does not say for which batch size its learning '
            'rate is meant; add auto_scale_lr=dict(base_batch_size=N)'
        )
    cfg.auto_scale_lr.enable = True


def set_accumulate(cfg: Config, batches: int) -> None:
    """Make one step of the gradients of several batches.

    Raises:
        UserError: Fewer than one batch.
    """
    if batches < 1:
        raise UserError(f'--accumulate {batches}: expected 1 batch a step or more')
    cfg.optim_wrapper.accumulative_counts = batches


def set_ema(cfg: Config, momentum: float | None = None) -> None:
    """Evaluate and save averaged weights; a config's own EMAHook stays, as it is set up.

    Args:
        cfg: Is changed.
        momentum: Share of the newest weights, more at the start of a training; None
            keeps the config's, or is `EMA_MOMENTUM`.

    Raises:
        UserError: The momentum is not between 0 and 1.
    """
    if momentum is not None and not 0 < momentum < 1:
        raise UserError(
            f'--ema {momentum:g}: expected the share of the newest weights, more than 0 '
            f'and less than 1, such as {EMA_MOMENTUM}'
        )
    hook = _hook(cfg, 'EMAHook')
    if hook is None:
        hook = {
            'type': 'EMAHook',
            'ema_type': 'ExpMomentumEMA',
            'momentum': EMA_MOMENTUM,
            'update_buffers': True,
        }
        hook = _add(cfg, hook)
    if momentum is not None:
        hook['momentum'] = momentum


def set_early_stop(cfg: Config, patience: int) -> None:
    """Stop after `patience` evaluations in a row that do not improve `save_best`.

    Raises:
        UserError: Fewer than one evaluation.
    """
    if patience < 1:
        raise UserError(f'--early-stop {patience}: expected 1 evaluation or more')
    watched = (cfg.get('default_hooks', {}).get('checkpoint') or {}).get('save_best')
    watched = watched[0] if isinstance(watched, list | tuple) else watched
    hook = _hook(cfg, 'EarlyStoppingHook')
    if hook is None:
        hook = {'type': 'mmeff.EarlyStoppingHook', 'monitor': watched or 'auto'}
        hook = _add(cfg, hook)
    hook['patience'] = patience


def set_nan_guard(cfg: Config, action: str) -> None:
    """What to do with a step whose loss or gradient is not finite: 'stop' or 'skip'."""
    hook = _hook(cfg, 'InvalidLossHook')
    if hook is None:
        hook = _add(cfg, {'type': 'mmeff.InvalidLossHook'})
    hook['action'] = action


def _hook(cfg: Config, name: str) -> dict | None:
    """The settings of a hook of the config, whatever its scope."""
    for hook in cfg.get('custom_hooks') or []:
        if str(hook['type']).rpartition('.')[2] == name:
            return hook
    return None


def _add(cfg: Config, hook: dict) -> dict:
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    return cfg.custom_hooks[-1]
