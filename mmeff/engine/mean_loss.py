"""The log of a distributed training shows the loss of all processes."""

from mmengine.dist import all_reduce_dict
from mmengine.hooks import Hook

from mmeff.registry import HOOKS


@HOOKS.register_module()
class MeanLossHook(Hook):
    """Replaces the losses of this process by their mean over all of them.

    mmengine logs those of the first process, which are of its share of the batch alone.
    All processes must have losses of the same names, as mmdet's detectors do.
    """

    # Before mmengine's hooks note the losses; after InvalidLossHook, registered earlier.
    priority = 'HIGHEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if outputs:
            means = {name: value.detach().float() for name, value in outputs.items()}
            all_reduce_dict(means, op='mean')
            outputs.update(means)
