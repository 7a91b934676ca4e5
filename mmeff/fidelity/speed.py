"""How fast our networks are beside the reference's: the same weights, taking turns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mmeff.fidelity.check import pair
from mmeff.fidelity.row import Row
from mmeff.profiling.latency import Budget, measure

MODES = ('eager', 'channels_last', 'compile')
PASSES = ('inference', 'training')
# Short turns, A B A B: a drift of the clock meets both.
BUDGET = Budget(rounds=7, min_runs=2, min_seconds=0.3, max_seconds=5.0)


@dataclass(frozen=True)
class Speed:
    """One comparison.

    Attributes:
        mode, direction: Out of `MODES` and `PASSES`.
        ours_ms: Median time of one pass of our network.
        ratios: Time of the reference over ours, of each pair of turns; above 1 ours
            is the faster one.
    """

    row: Row
    mode: str
    direction: str
    ours_ms: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return float(np.median(self.ratios))

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.percentile(self.ratios, [25, 75])
        return float(low), float(high)


def compare_speed(
    row: Row, batch_size: int, budget: Budget = BUDGET
) -> Iterator[Speed]:
    """Time a row's network against its reference on the CPU.

    Args:
        row: With a reference.
        batch_size: Images of ``row.size`` in a pass.
        budget: How long to measure each comparison.

    Yields:
        One `Speed` for each mode and pass: inference in eval mode without gradients,
        and a forward and backward pass in training mode.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch_size, 3, row.size, row.size, generator=generator)
    for mode in MODES:
        ours, theirs = (_prepare(model, mode) for model in pair(row))
        image = (
            x.contiguous(memory_format=torch.channels_last) if mode != 'eager' else x
        )
        for direction in PASSES:
            times = measure(
                {
                    'ours': _step(ours, image, direction),
                    'theirs': _step(theirs, image, direction),
                },
                budget=budget,
            )
            turns = zip(
                times['theirs'].round_medians, times['ours'].round_medians, strict=True
            )
            ratios = tuple(theirs_ms / ours_ms for theirs_ms, ours_ms in turns)
            yield Speed(row, mode, direction, times['ours'].median, ratios)
        torch.compiler.reset()


def _prepare(model: nn.Module, mode: str) -> nn.Module:
    if mode == 'eager':
        return model
    model = model.to(memory_format=torch.channels_last)
    return torch.compile(model) if mode == 'compile' else model


def _step(model: nn.Module, x: Tensor, direction: str) -> Callable[[], object]:
    def infer():
        model.eval()
        with torch.no_grad():
            return model(x)

    def train():
        model.train()
        model.zero_grad(set_to_none=True)
        model(x).mean().backward()

    return infer if direction == 'inference' else train
