"""Stop a training whose loss is no longer a number, or go on without that step."""

from math import isfinite
from pathlib import Path

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor

from mmeff.engine.bad_batch import save_batch
from mmeff.engine.step_guard import StepGuard
from mmeff.errors import UserError
from mmeff.registry import HOOKS

ACTIONS = ('stop', 'skip')
MAX_SAVED = 10  # batches that one run writes: a large one has hundreds of MB


@HOOKS.register_module()
class InvalidLossHook(Hook):
    """Keeps losses and gradients that are NaN or infinite away from the weights.

    Looks at every iteration, before the backward pass and before the step, which waits
    for the GPU; mmengine does so as well, when it notes the losses of every iteration.
    The batch is written to ``<work_dir>/invalid_batches``; see `save_batch`.

    Args:
        action: 'stop' ends the training. 'skip' goes on as if the step had not been:
            weights, optimizer and BatchNorm statistics are what they were before it.
        max_skips: So many steps in a row are left out; the next one ends the training.

    Raises:
        ValueError: Another action.
        UserError: A loss or gradient is not finite, and is not skipped; the message
            names it and the images.
    """

    # Before mmengine's hooks, so that no log, average or checkpoint sees the numbers.
    priority = 'HIGHEST'

    def __init__(self, action: str = 'stop', max_skips: int = 10) -> None:
        if action not in ACTIONS:
            raise ValueError(f'action={action!r}: expected one of {", ".join(ACTIONS)}')
        self.action = action
        self.max_skips = max_skips

    def before_train(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        skips = self.action == 'skip'
        self._guard = StepGuard(runner.optim_wrapper, model, restore=skips)
        self._skips = self._skips_in_a_row = self._saved = 0

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if self._guard.starts:
            self._batches, self._step_is_bad = [], False
        self._batches.append(data_batch)
        self._guard.begin()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self._guard.found is not None:
            self._report(runner, outputs)
            self._step_is_bad = True
            outputs.clear()  # a NaN would stay in the averages of the log for long
        if self._guard.starts and not self._step_is_bad:
            self._skips_in_a_row = 0

    def after_train(self, runner) -> None:
        if self._skips:
            runner.logger.warning(
                f'{self._skips} steps were left out because their loss or gradient was '
                f'not finite; their batches are in {_folder(runner)}'
            )

    def _report(self, runner, outputs: dict[str, Tensor]) -> None:
        """Warn of a step that is left out, or raise."""
        found = f'iteration {runner.iter + 1}: {self._describe(outputs)}'
        found += self._save(runner, found)
        if not self._step_is_bad:  # else this step is counted already
            self._skips_in_a_row += 1
        if self.action == 'skip' and self._skips_in_a_row <= self.max_skips:
            self._skips += not self._step_is_bad
            runner.logger.warning(f'{found}. The step is left out')
            return
        advice = '; --nan-guard skip leaves such steps out'
        if self.action == 'skip':
            found += f'. {self.max_skips} steps before it were left out'
            advice = ''
        raise UserError(
            f'{found}. If the images are sound, lower optim_wrapper.optimizer.lr, '
            'lengthen the warm-up or set optim_wrapper.clip_grad, and go on with '
            f'--resume{advice}'
        )

    def _describe(self, outputs: dict[str, Tensor]) -> str:
        if not self._guard.is_here:
            return 'a loss of another process is not finite'
        losses = {name: outputs[name].item() for name in outputs if 'loss' in name}
        bad = [f'{n} = {value}' for n, value in losses.items() if not isfinite(value)]
        if self._guard.found == 'gradient':
            bad = ['the gradient is not finite']
        what = ', '.join(bad) or 'BatchNorm statistics are not finite'
        paths = [
            str(sample.get('img_path'))
            for batch in self._suspects()
            for sample in batch['data_samples']
        ]
        return f'{what}. Images: {", ".join(paths)}'

    def _suspects(self) -> list[dict]:
        """The batch of the loss, or all that the gradient is from."""
        return self._batches if self._guard.found == 'gradient' else self._batches[-1:]

    def _save(self, runner, found: str) -> str:
        """Write the batches; what to say about it."""
        if not self._guard.is_here:
            return f'. Its batch is in {_folder(runner)}'
        if self._saved >= MAX_SAVED:
            return ''
        rank = f'_rank_{get_rank()}' if get_world_size() > 1 else ''
        last = runner.iter + 1
        suspects = self._suspects()
        try:
            for i, batch in enumerate(suspects, last + 1 - len(suspects)):
                path = _folder(runner) / f'iter_{i}{rank}.npz'
                save_batch(path, batch, iteration=i, epoch=runner.epoch + 1, why=found)
        except OSError as error:
            return f'. The batch could not be written: {error}'
        self._saved += len(suspects)
        return f'. The batch is in {path}'


def _folder(runner) -> Path:
    return Path(runner.work_dir) / 'invalid_batches'
