"""Keeps numbers that are not finite out of weights, optimizer and BatchNorm statistics.

A loss that is NaN has NaN gradients, and one step with them loses the network. The loss
is therefore looked at before the backward pass, and the gradients before the step.
"""

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import get_total_norm


class StepGuard:
    """Lets an optimizer wrapper step only with losses and gradients that are finite.

    It takes the place of the wrapper's `backward` and `step`. With accumulated gradients
    a step belongs to several batches; one bad batch leaves out the whole step.

    All processes of a distributed training decide alike: one that skipped its backward
    pass alone would leave the others waiting for its gradients.

    Args:
        wrapper: Of any type; with a gradient scaler (float16) the scaler looks at the
            gradients, whose overflow is part of its search for a scale.
        model: With `restore`, its BatchNorm statistics, which a forward pass changes
            before its loss is known, are looked at too, and put back when a step is
            left out.
        restore: Costs a copy of the statistics a step.

    Attributes:
        found: What was wrong in this iteration: 'loss', 'gradient', or None.
        is_here: Whether it was found in the batch of this process.
        starts: Whether the next batch is the first of its step.
    """

    def __init__(
        self, wrapper: OptimWrapper, model: nn.Module, restore: bool = False
    ) -> None:
        self.found: str | None = None
        self.is_here = False
        self.starts = True
        self._dropped = False
        self._wrapper = wrapper
        self._buffers = _statistics(model) if restore else []
        self._saved = [buffer.clone() for buffer in self._buffers]
        self._own_backward, self._own_step = wrapper.backward, wrapper.step
        wrapper.backward, wrapper.step = self._backward, self._step

    def begin(self) -> None:
        """To be called before each forward pass."""
        self.found, self.is_here = None, False
        if self.starts:
            self.starts = False
            _copy(self._buffers, self._saved)

    def _backward(self, loss: Tensor, **kwargs) -> None:
        floating = [b for b in self._buffers if b.is_floating_point()]
        self.is_here = not _are_finite([loss.detach(), *floating])
        if _anywhere(self.is_here, loss.device):
            self.found, self._dropped = 'loss', True
        if not self._dropped:
            self._own_backward(loss, **kwargs)
            return
        # Hooks such as the average of the weights read the statistics next.
        _copy(self._saved, self._buffers)
        self._wrapper._inner_count += 1  # as mmengine asks of every `backward`

    def _step(self, **kwargs) -> None:
        if not self._dropped and not self._gradients_are_finite():
            self.found, self.is_here, self._dropped = 'gradient', True, True
            _copy(self._saved, self._buffers)
        if not self._dropped:
            self._own_step(**kwargs)
        self._dropped, self.starts = False, True

    def _gradients_are_finite(self) -> bool:
        """Alike in all processes, which have exchanged their gradients."""
        scaler = getattr(self._wrapper, 'loss_scaler', None)
        if scaler is not None and scaler.is_enabled():
            return True
        groups = self._wrapper.optimizer.param_groups
        parameters = [p for group in groups for p in group['params']]
        return _are_finite([p.grad for p in parameters if p.grad is not None])


def _statistics(model: nn.Module) -> list[Tensor]:
    return [
        buffer
        for module in model.modules()
        if isinstance(module, _BatchNorm)
        for buffer in module.buffers(recurse=False)
    ]


def _anywhere(here: bool, device: torch.device) -> bool:
    """Whether it is so in any process."""
    if get_world_size() == 1:
        return here
    flag = torch.tensor(float(here), device=device)
    all_reduce(flag, op='max')
    return bool(flag)


def _are_finite(tensors: list[Tensor]) -> bool:
    """Waits for the GPU. Numbers whose squares overflow count as infinite."""
    return bool(get_total_norm(tensors).isfinite())


def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
