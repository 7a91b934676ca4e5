"""Makes a resumed training equal to one that never stopped, to the last bit."""

from pathlib import Path

from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import CheckpointHook, Hook

from mmeff.engine.checkpoints import INTERRUPTED, last_named, remove_unfinished
from mmeff.registry import HOOKS

EVALUATED = 'evaluated_epoch'  # in the message hub, which checkpoints keep
POSITION = 'position'  # in the meta of a checkpoint: batches done and of the epoch


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Keeps what mmengine does not: the place in the epoch, and evaluations that are due.

    mmengine saves a checkpoint before it evaluates its weights. A training that is killed
    in between and resumed would leave that evaluation out, and with it a best checkpoint
    or a step of ReduceOnPlateau; here it is made up for.
    """

    priority = 'LOWEST'  # before_train: when the other hooks are ready

    def __init__(self) -> None:
        self._resumed = False

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        loop = runner.train_loop
        done = getattr(loop, 'batches_done', 0)
        checkpoint['meta'][POSITION] = (done, len(loop.dataloader))

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        self._resumed = True
        done, expected = checkpoint['meta'].get(POSITION, (0, None))
        loop = runner.train_loop
        loop.batches_done, loop.batches_expected = done, expected

    def before_train(self, runner) -> None:
        if is_main_process():
            remove_unfinished(runner.work_dir)
        if not self._resumed:
            return
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                # else it would not note a new best of the evaluation below
                hook.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
        if self._is_evaluation_due(runner):
            runner.logger.info(
                f'the checkpoint of epoch {runner.epoch} was written before its '
                'evaluation, which comes first'
            )
            # as they are when an epoch has ended, for the checkpoint of a new best
            runner.message_hub.update_info('epoch', runner.epoch - 1)
            runner.message_hub.update_info('iter', runner.iter - 1)
            runner.val_loop.run()

    def before_val_epoch(self, runner) -> None:
        # before, because CheckpointHook saves after it; nothing is saved in between
        runner.message_hub.update_info(EVALUATED, runner.epoch)
        # Each process has BatchNorm statistics of its own, and a checkpoint those of the
        # first: all evaluate what is saved. Alone, this does nothing.
        for buffer in runner.model.buffers():
            broadcast(buffer)

    def after_train_epoch(self, runner) -> None:
        last = last_named(runner.work_dir)
        if is_main_process() and last is not None and last.name != INTERRUPTED:
            Path(runner.work_dir, INTERRUPTED).unlink(missing_ok=True)

    @staticmethod
    def _is_evaluation_due(runner) -> bool:
        loop = runner.train_loop
        if runner.val_loop is None or runner.epoch == 0:
            return False
        if runner.message_hub.runtime_info.get(EVALUATED) == runner.epoch:
            return False
        loop._decide_current_val_interval()
        at_interval = runner.epoch % loop.val_interval == 0
        return runner.epoch >= loop.val_begin and (
            at_interval or runner.epoch == runner.max_epochs
        )
