"""Parameters of a model and multiply-accumulates of a run.

The run is executed and its operators are counted as they are dispatched: no tracing,
so that any model which runs can be counted.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Params:
    """Elements of a model's parameters; shared ones count once, buffers do not."""

    total: int
    trainable: int


@dataclass(frozen=True)
class Operations:
    """Arithmetic of one run.

    Attributes:
        macs: Multiply-accumulates of convolutions, matrix products and attention. One
            MAC is two FLOPs. Biases are not counted.
        uncounted: Calls of the operators that have no formula, by name: normalisation,
            activation, pooling, but also deformable convolution and grid sampling.
    """

    macs: int
    uncounted: dict[str, int]

    @property
    def flops(self) -> int:
        return 2 * self.macs


def count_params(model: nn.Module) -> Params:
    """Count the parameters of a model."""
    parameters = list(model.parameters())
    return Params(
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
    )


def count_operations(run: Callable[[], object]) -> Operations:
    """Count the arithmetic of one run, which is executed once.

    Args:
        run: A callable without arguments, such as ``lambda: model(image)``.
    """
    # The counter is entered last, so it sees operators first and hands on what it
    # has taken apart.
    with (
        torch.no_grad(),
        _OperatorCalls() as seen,
        FlopCounterMode(display=False) as flops,
    ):
        run()
    uncounted = Counter()
    for operator, calls in seen.calls.items():
        counted = operator.overloadpacket in flops.flop_registry
        if calls and not counted and not operator.is_view:
            uncounted[operator.name().split('.')[0]] += calls
    return Operations(flops.get_total_flops() // 2, dict(sorted(uncounted.items())))


class _OperatorCalls(TorchDispatchMode):
    """Counts how often each operator is dispatched on floating-point tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tensors = (arg for arg in tree_leaves(args) if isinstance(arg, torch.Tensor))
        self.calls[func] += any(tensor.is_floating_point() for tensor in tensors)
        return func(*args, **(kwargs or {}))
