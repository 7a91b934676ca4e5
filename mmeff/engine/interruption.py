"""Trainings that are told to stop, or stopped by a fault, say how to go on."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import barrier, get_rank, get_world_size, is_main_process
from mmengine.fileio import put_text
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.distributed import distributed_c10d

from mmeff.engine.checkpoints import INTERRUPTED, LAST, last_named
from mmeff.engine.children import children_end_with_us
from mmeff.engine.exact_resume import ExactResumeHook
from mmeff.engine.faults import describe_fault
from mmeff.engine.progress import ProgressHook
from mmeff.engine.train_loop import EpochTrainLoop
from mmeff.errors import UserError
from mmeff.registry import HOOKS

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class InterruptionError(UserError):
    """A signal stopped the training; the status is the one that shells use for it."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.status = 128 + number


@HOOKS.register_module()
class InterruptionHook(Hook):
    """Stops after the optimizer's step in which a signal came, and saves a checkpoint.

    With several processes, all stop after the same step: the first to be told leaves the
    number of an iteration in the store through which they found each other.

    Attributes:
        signal: What came, or None.
    """

    priority = 'LOWEST'  # after_train_iter: when EMA and schedulers have stepped

    def __init__(self) -> None:
        self.signal: int | None = None
        self._last_iter: int | None = None

    def receive(self, number: int, _frame) -> None:
        """Handle a signal."""
        if self.signal == signal.SIGINT == number:
            raise KeyboardInterrupt  # asked for twice
        self.signal = number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not (self._stops_at(runner.iter) and runner.optim_wrapper.should_update()):
            return
        done = f'stopped after iteration {runner.iter + 1} of {runner.max_iters}'
        if not isinstance(runner.train_loop, EpochTrainLoop):
            raise self.message(f'{done}. {how_to_resume(runner)}')
        meta = {'epoch': runner.epoch, 'iter': runner.iter + 1}
        runner.save_checkpoint(runner.work_dir, INTERRUPTED, meta=meta)
        if is_main_process():
            put_text(INTERRUPTED, os.path.join(runner.work_dir, LAST))
        barrier()  # a process that exits takes the others with it
        raise self.message(
            f'{done}; {os.path.join(runner.work_dir, INTERRUPTED)} has all of it. The '
            'same command with --resume goes on from there'
        )

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        # of several processes, all must stop at the same place
        if self.signal is not None and get_world_size() == 1:
            raise self.message(f'stopped while evaluating. {how_to_resume(runner)}')

    def message(self, text: str) -> InterruptionError:
        number = self.signal or signal.SIGTERM  # None: another process was told
        return InterruptionError(f'{signal.Signals(number).name}: {text}', number)

    def _stops_at(self, iteration: int) -> bool:
        if get_world_size() == 1:
            return self.signal is not None
        if self._last_iter is None:
            self._last_iter = self._agree(iteration)
        return self._last_iter is not None and iteration >= self._last_iter

    def _agree(self, iteration: int) -> int | None:
        """The iteration after which all stop, if one of them was told to.

        None can be further than one iteration ahead, since gradients are exchanged in
        each; 2 leaves room for a GPU that lags behind its host.
        """
        store, key = distributed_c10d._get_default_store(), 'mmeff/last_iter'
        if self.signal is not None:
            return int(store.compare_set(key, '', str(iteration + 2)))
        return int(store.get(key)) if store.check([key]) else None


@contextmanager
def nothing_lost(runner: Runner) -> Iterator[None]:
    """Context to train in: exact resume, signals heeded, faults told as messages.

    Raises:
        InterruptionError: SIGTERM or SIGINT came; a checkpoint has what was done.
        UserError: The disk is full, a worker or another process has died.
    """
    hook = InterruptionHook()
    runner.register_hook(ExactResumeHook())
    runner.register_hook(hook)
    for handler in runner.logger.handlers:
        handler.handleError = _ignore  # else a full disk is a traceback a line
    with _heeded(hook), children_end_with_us():
        try:
            yield
        except (OSError, RuntimeError, EOFError) as error:
            _let_workers_die()
            fault = describe_fault(error)
            if hook.signal is not None:
                found = f'{type(error).__name__}: {str(error).strip()}'.split('\n')[0]
                stopped = f'stopped in iteration {runner.iter + 1} ({found})'
                raise hook.message(f'{stopped}. {how_to_resume(runner)}') from error
            if fault is None:
                raise
            rank = f'process {get_rank()}: ' if get_world_size() > 1 else ''
            raise UserError(f'{rank}{fault}. {how_to_resume(runner)}') from error
        finally:
            for part in runner.hooks:
                if isinstance(part, ProgressHook):
                    part.after_train(runner)


def how_to_resume(runner: Runner) -> str:
    """What a resumed training starts from, and how many iterations it repeats."""
    last = last_named(runner.work_dir)
    if last is None:
        return 'There is no checkpoint yet: start again'
    kind, _, number = last.stem.partition('_')
    length = {'epoch': len(runner.train_dataloader), 'iter': 1}.get(kind)
    text = f'The same command with --resume goes on from {last}'
    if length is None or not number.isdecimal():
        return text
    repeated = max(runner.iter - int(number) * length, 0)
    return f'{text} (iterations to repeat: {repeated})'


@contextmanager
def _heeded(hook: InterruptionHook) -> Iterator[None]:
    """Signals go to the hook meanwhile; only the main thread can have them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, hook.receive) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _let_workers_die() -> None:
    """Take back torch's handler, which raises for each worker while we say why we end."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _ignore(record: logging.LogRecord) -> None:
    """A log that cannot be written is no reason to print one more error a line."""
