"""Stop a training whose loss is no longer a number, before it overwrites good weights."""

import torch
from mmengine.hooks import Hook

from mmeff.errors import UserError
from mmeff.registry import HOOKS


@HOOKS.register_module()
class InvalidLossHook(Hook):
    """Checks every `interval` iterations that all losses are finite.

    Args:
        interval: Looking at a loss waits for the GPU, so not every iteration does.

    Raises:
        UserError: A loss is NaN or infinite; the message names it and the images.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not self.every_n_train_iters(runner, self.interval):
            return
        bad = [
            f'{name} = {float(value)}'
            for name, value in outputs.items()
            if 'loss' in name and not torch.isfinite(torch.as_tensor(value)).all()
        ]
        if bad:
            paths = [sample.img_path for sample in data_batch['data_samples']]
            raise UserError(
                f'iteration {runner.iter + 1}: {", ".join(bad)}. Images: '
                f'{", ".join(paths)}. Lower optim_wrapper.optimizer.lr, lengthen the '
                'warm-up or set optim_wrapper.clip_grad, and go on with --resume'
            )
