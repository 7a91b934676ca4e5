"""One live line while training on a terminal; plain log lines elsewhere."""

import logging
import sys
import time

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mmeff.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows epoch, iteration, loss, learning rate, images per second and time left.

    Draws only when stdout is a terminal. Log lines scroll above the live line, and are
    written to the log file as always.
    """

    priority = 'VERY_LOW'

    _progress: Progress | None = None

    def before_train(self, runner) -> None:
        if not (is_main_process() and sys.stdout.isatty()):
            return
        self._progress = Progress(
            TextColumn('epoch {task.fields[epoch]}'),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn('{task.fields[state]}'),
            TimeRemainingColumn(),
            console=Console(),
        )
        self._task = self._progress.add_task(
            'train', total=runner.max_iters, completed=runner.iter, epoch='', state=''
        )
        self._progress.start()
        # rich replaced sys.stdout; the logger still writes to the one before.
        self._redirect_log(runner, sys.stdout)
        self._last = time.perf_counter()

    def before_train_epoch(self, runner) -> None:
        self._last = time.perf_counter()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self._progress is None:
            return
        now = time.perf_counter()
        images = len(data_batch['data_samples']) if data_batch else 0
        rate, self._last = images / (now - self._last), now
        lr = next(iter(runner.optim_wrapper.get_lr().values()))[0]
        loss = float(outputs['loss']) if outputs else float('nan')
        self._progress.update(
            self._task,
            completed=runner.iter + 1,
            epoch=f'{runner.epoch + 1}/{runner.max_epochs}',
            state=f'loss {loss:.3f}  lr {lr:.2e}  {rate:.1f} img/s',
        )

    def after_train(self, runner) -> None:
        """Also to be called when a training ends by an error: it gives the cursor back."""
        if self._progress is not None:
            self._progress.stop()
            self._redirect_log(runner, sys.stdout)
            self._progress = None

    @staticmethod
    def _redirect_log(runner, stream) -> None:
        for handler in runner.logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(stream)
