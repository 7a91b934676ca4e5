"""Gradients that are accumulated over several batches do not cross the end of an epoch."""

from mmengine.hooks import Hook
from torch import nn

from mmeff.registry import HOOKS


@HOOKS.register_module()
class AccumulationHook(Hook):
    """Takes the last, incomplete step of an epoch at its end, as a mean of fewer batches.

    mmengine counts batches from the start of the training, so gradients of the end of an
    epoch wait for the next one. The checkpoint between the two does not have them, and a
    resumed training would differ.

    Args:
        counts: Batches of a step, `accumulative_counts` of the optimizer wrapper.
    """

    def __init__(self, counts: int) -> None:
        self.counts = counts

    def before_train(self, runner) -> None:
        if runner.iter % self.counts:
            # Else mmengine's warning of a moment ago would be believed.
            runner.logger.info('no gradient was lost: epochs end with a whole step')

    def before_train_epoch(self, runner) -> None:
        runner.optim_wrapper.initialize_count_status(
            nn.Identity(),  # not the model, of whose BatchNorm it has warned before
            init_counts=getattr(runner.train_loop, 'batches_done', 0),
            max_counts=len(runner.train_dataloader),
        )
