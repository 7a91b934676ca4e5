"""Train a detector."""

from pathlib import Path

import torch
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmeff.apis import train_flags
from mmeff.apis.runner import build_runner, friendly_errors, prepare
from mmeff.config import load_config
from mmeff.engine import AccumulationHook, MeanLossHook
from mmeff.engine.checkpoints import newest_whole
from mmeff.engine.interruption import nothing_lost
from mmeff.errors import UserError


def train(
    config,
    work_dir: str | Path | None = None,
    data: str | Path | None = None,
    classes: list[str] | None = None,
    preset: str | None = None,
    amp: bool = False,
    channels_last: bool = False,
    auto_scale_lr: bool = False,
    accumulate: int | None = None,
    ema: float | bool = False,
    early_stop: int | None = None,
    nan_guard: str | None = None,
    resume: str | None = None,
    launcher: str = 'none',
    cfg_options: dict | None = None,
) -> Runner:
    """Train a detector and keep its best and its latest checkpoints.

    Args:
        config: Config, its path, or the name of one that comes with mmeff.
        work_dir: Folder for checkpoints and logs; `work_dirs/<config>` by default.
        data: Folder in COCO, VOC or YOLO layout, or 'shapes' for the generated set; by
            default what the config says.
        classes: With `data`: the classes to learn; by default all.
        preset: Name of a fragment of settings in `configs/_base_/presets`.
        amp: Mixed precision: float16 on a GPU, bfloat16 on a CPU.
        channels_last: Keep the channels of a pixel side by side in memory.
        auto_scale_lr: Scale the learning rate with the batch size, where the config does
            not do so by itself.
        accumulate: Batches whose gradients make one step.
        ema: Evaluate and save averaged weights, with this momentum or, for True, the
            config's or 0.0002.
        early_stop: Stop after so many evaluations in a row without a better metric.
        nan_guard: 'stop' or 'skip' where a loss or gradient is not finite; by default
            what the config says, which is 'stop'.
        resume: 'auto' to go on from the latest checkpoint in `work_dir`, or a path.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        cfg_options: Settings to override, with dotted keys.

    Returns:
        The Runner after training; `runner.model` has the last weights.

    Raises:
        UserError: Config, data or checkpoint are wrong, there are too few images for a
            batch, or the loss is not finite.
    """
    cfg = load_config(config, cfg_options, preset)
    cfg = prepare(cfg, work_dir, data, classes, cfg_options, launcher)
    if amp:
        train_flags.set_amp(cfg)
    if auto_scale_lr:
        train_flags.set_auto_scale_lr(cfg)
    if accumulate is not None:
        train_flags.set_accumulate(cfg, accumulate)
    if ema is not False:
        train_flags.set_ema(cfg, None if ema is True else ema)
    if early_stop is not None:
        train_flags.set_early_stop(cfg, early_stop)
    if nan_guard is not None:
        train_flags.set_nan_guard(cfg, nan_guard)
    if resume is not None:
        _set_resume(cfg, resume)
    runner = build_runner(cfg)
    if channels_last:
        runner.model.to(memory_format=torch.channels_last)
    _count_accumulated(runner)
    line = describe_rate(cfg, runner.world_size)
    if line is not None:
        runner.logger.info(line)
    if runner.world_size > 1:
        runner.register_hook(MeanLossHook())
    with friendly_errors(), nothing_lost(runner):
        _check_steps(runner)
        _end_epochs_with_a_step(runner)
        runner.train()
    return runner


def _count_accumulated(runner: Runner) -> None:
    """Let mmengine scale the rate by the images of a step, not of an iteration.

    The runner's setting is changed and not the config, which is in the work dir already.
    """
    times = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    scaling = dict(runner.auto_scale_lr or {})
    if times > 1 and 'base_batch_size' in scaling:
        scaling['base_batch_size'] /= times
        runner.auto_scale_lr = scaling


def _end_epochs_with_a_step(runner: Runner) -> None:
    counts = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
    if counts > 1 and isinstance(runner.train_loop, EpochBasedTrainLoop):
        runner.register_hook(AccumulationHook(counts))


def describe_rate(cfg, world_size: int) -> str | None:
    """How the learning rate fits the images of a step; None where it was made for them."""
    wrapper = cfg.get('optim_wrapper', {})
    rate = wrapper.get('optimizer', {}).get('lr')
    images = cfg.get('train_dataloader', {}).get('batch_size')
    meant_for = cfg.get('auto_scale_lr', {}).get('base_batch_size')
    if None in (rate, images, meant_for):
        return None
    step = images * world_size * wrapper.get('accumulative_counts', 1)
    if step == meant_for:
        return None
    scaled = f'{rate * step / meant_for:g}'
    says = f'learning rate {rate:g} is for {meant_for} images a step, here are {step}: '
    if cfg.auto_scale_lr.get('enable', False):
        return f'{says}scaled to {scaled}'
    return f'{says}--auto-scale-lr would make it {scaled}'


def _check_steps(runner: Runner) -> None:
    """Raise where an epoch has no step, which mmengine takes for a finished training."""
    loader = runner.train_loop.dataloader
    if runner.max_iters > 0 or len(loader) > 0:
        return
    share = max(len(loader.sampler), 1)
    raise UserError(
        f'{len(loader.dataset)} images on {runner.world_size} processes make no batch of '
        f'{loader.batch_sampler.batch_size}, and smaller ones are left out (drop_last): '
        'nothing would be learned. Take more images or smaller batches: '
        f'--cfg-options train_dataloader.batch_size={share}'
    )


def _set_resume(cfg, resume: str) -> None:
    cfg.resume = True
    if resume != 'auto':
        if not Path(resume).is_file():
            raise UserError(f'--resume {resume}: no such file')
        cfg.load_from = resume
        return
    newest, damaged = newest_whole(cfg.work_dir)
    for path in damaged:
        print(f'{path} is damaged or cut off, and left out')
    if newest is not None:
        cfg.load_from = str(newest)
    elif damaged:
        raise UserError(
            f'no checkpoint in {cfg.work_dir} is whole; without --resume the training '
            'starts again'
        )
    else:
        cfg.resume = False
        print(
            f'nothing to resume in {cfg.work_dir}: training starts from the beginning'
        )
