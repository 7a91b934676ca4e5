"""Epochs that can be left and entered between any two batches."""

from mmengine.dist import get_rank
from mmengine.runner import EpochBasedTrainLoop

from mmeff.engine.seeding import seed_from
from mmeff.errors import UserError
from mmeff.registry import LOOPS


@LOOPS.register_module()
class EpochTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop, which goes on in the middle of an epoch exactly.

    mmengine's restarts the epoch of such a checkpoint and trains its first batches twice.
    Here they are loaded, so that samplers and workers come to the same state, and left
    out. Random numbers of the process are those of (seed, epoch, rank, batch).

    Attributes:
        batches_done: Batches of this epoch that the weights have seen; 0 between epochs.
        batches_expected: What a checkpoint says how many batches its epoch has.
    """

    batches_done = 0
    batches_expected: int | None = None

    def run_epoch(self) -> None:
        """Train what is left of an epoch.

        Raises:
            UserError: The checkpoint is from the middle of an epoch of another length.
        """
        self._check_length()
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        batches = iter(self.dataloader)
        if self.batches_done:
            self.runner.logger.info(
                f'loading {self.batches_done} batches of epoch {self._epoch + 1} that '
                'the checkpoint has seen'
            )
        for _ in range(self.batches_done):
            next(batches)
        for index in range(self.batches_done, len(self.dataloader)):
            # before loading, which draws numbers where there are no workers
            seed_from(self.runner.seed, self._epoch, get_rank(), index)
            batch = next(batches)
            self.batches_done = index + 1
            self.run_iter(index, batch)
        self.batches_done = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _check_length(self) -> None:
        length = len(self.dataloader)
        if self.batches_done and self.batches_expected not in (None, length):
            raise UserError(
                f'the checkpoint was written after {self.batches_done} of the '
                f'{self.batches_expected} batches of an epoch, which has {length} here. '
                'Resume with the same data, batch size and number of processes, or from '
                f'the end of an epoch: --resume {self.runner.work_dir}/epoch_N.pth'
            )
