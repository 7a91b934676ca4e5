"""Measure one guideline at one width and compare it with the paper.

The nets take turns in short rounds, and what is compared are ratios within a round: a
machine that is slower for a while is so for all of them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from mmeff.errors import UserError
from mmeff.guidelines.tables import Guideline, Variant
from mmeff.profiling.counts import Operations, count_operations
from mmeff.profiling.latency import Budget, Latency, Progress, measure
from mmeff.profiling.precision import PRECISIONS

# Short turns and many rounds: a net of G1 to G4 is run for four seconds in all.
BUDGET = Budget(rounds=20, min_runs=5, min_seconds=0.2, max_seconds=2)


def measure_guideline(
    guideline: Guideline,
    width: int,
    columns: str,
    *,
    device: torch.device,
    precision: str = 'fp32',
    batch: int = 1,
    budget: Budget = BUDGET,
    progress: Progress | None = None,
) -> dict:
    """Measure all nets of a guideline, interleaved.

    With 'amp-fp16' and 'amp-bf16' weights and maps are of that type: to convert weights
    in each run, as autocast does, would be an operation that the nets do not have.

    Args:
        guideline: One of `mmeff.guidelines.tables`.
        width: Factor of all channels.
        columns: 'gpu' or 'cpu', whose channels and speeds of the paper to take.
        device: Where to run.
        precision: A key of `mmeff.profiling.precision.PRECISIONS`.
        batch: Images per run.
        budget: How long to measure.
        progress: Called after each run.

    Returns:
        'width'; 'rows', one per net; 'speed_order' and 'efficiency_order' (GFLOP/s, None
        where the paper prints no MACs), see `compare_order`.

    Raises:
        UserError: The device has not enough memory.
    """
    dtype = PRECISIONS[precision][1] or torch.float32
    counts, runs = {}, {}
    try:
        for variant in guideline.variants:
            channels = variant.channels(columns, width)
            net = _build(variant, channels).to(device, dtype)
            shape = (guideline.in_channels or channels[0], *2 * (guideline.size,))
            x = torch.randn(batch, *shape, device=device, dtype=dtype)
            counts[variant.name] = count_operations(partial(_run, net, x[:1]))
            runs[variant.name] = partial(_run, net, x)
        latencies = measure(runs, device, budget, progress)
    except RuntimeError as error:
        if 'to allocate' not in str(error):  # said by the allocators of all devices
            raise
        raise UserError(
            f'{guideline.key} at width x{width}: out of memory with batch={batch}; a '
            'smaller --batch may fit'
        ) from error
    speeds = {
        name: 1000 * batch / np.array(latency.round_medians)
        for name, latency in latencies.items()
    }
    paper = _paper_speeds(guideline, width, columns)
    return {
        'width': width,
        'rows': [
            _channels(variant, columns, width)
            | _costs(counts[variant.name])
            | _latency(latencies[variant.name], counts[variant.name], batch)
            | _speeds(variant, guideline.variants[0], speeds, paper)
            for variant in guideline.variants
        ],
        'speed_order': compare_order(speeds, paper),
        'efficiency_order': _efficiency_order(guideline, counts, speeds, paper),
    }


def _build(variant: Variant, channels: tuple[int, ...]) -> nn.Module:
    """The net in eval mode with weights that are the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return variant.build(*channels).eval()


@torch.no_grad()
def _run(net: nn.Module, x: Tensor) -> object:
    return net(x)


def _paper_speeds(guideline: Guideline, width: int, columns: str) -> dict[str, float]:
    index = guideline.widths.index(width)
    return {v.name: v.column(columns).speeds[index] for v in guideline.variants}


def _channels(variant: Variant, columns: str, width: int) -> dict:
    return {
        'name': variant.name,
        'channels': variant.channels(columns, width),
        'paper_channels': tuple(width * c for c in variant.column(columns).channels),
    }


def _costs(operations: Operations) -> dict:
    """What a net costs by count; access in elements, as the papers' formula has it."""
    return {
        'macs_m': operations.macs / 1e6,
        'memory_access_m': operations.memory_access / 1e6,
        'elementwise_access_m': operations.elementwise_access / 1e6,
    }


def _latency(latency: Latency, operations: Operations, batch: int) -> dict:
    images_per_s = 1000 * batch / latency.median
    return {
        'latency_ms': latency.summary(),
        'images_per_s': images_per_s,
        'gflops_per_s': images_per_s * operations.flops / 1e9,
    }


def _speeds(
    variant: Variant,
    first: Variant,
    speeds: Mapping[str, np.ndarray],
    paper: Mapping[str, float],
) -> dict:
    """Speeds of a net relative to the first one, round by round and in the paper."""
    relative = speeds[variant.name] / speeds[first.name]
    return {
        'relative_speed': float(np.median(relative)),
        'relative_speed_quartiles': np.percentile(relative, (25, 75)).tolist(),
        'paper_speed': paper[variant.name],
        'paper_relative_speed': paper[variant.name] / paper[first.name],
        'paper_gmacs': variant.paper_gmacs,
    }


def _efficiency_order(
    guideline: Guideline,
    counts: dict[str, Operations],
    speeds: Mapping[str, np.ndarray],
    paper: Mapping[str, float],
) -> dict | None:
    gmacs = {v.name: v.paper_gmacs for v in guideline.variants}
    if None in gmacs.values():
        return None
    return compare_order(
        {name: counts[name].macs * speed for name, speed in speeds.items()},
        {name: gmacs[name] * speed for name, speed in paper.items()},
    )


def compare_order(
    measured: Mapping[str, Sequence[float]], paper: Mapping[str, float]
) -> dict[str, list[list[str]]]:
    """Compare the order of nets with that in a paper, pair by pair.

    Args:
        measured: For each net one number per round.
        paper: For each net the paper's number.

    Returns:
        Pairs of names, the net with the paper's greater number first: those that 'agree',
        that 'oppose', and that are too 'close' to tell because the rounds do not say the
        same (1 is between the quartiles of their ratios). Pairs that are equal in the
        paper are in none.
    """
    order = {'agree': [], 'oppose': [], 'close': []}
    for pair in combinations(measured, 2):
        if paper[pair[0]] == paper[pair[1]]:
            continue
        greater, less = sorted(pair, key=paper.get, reverse=True)
        ratios = np.divide(measured[greater], measured[less])
        low, high = np.percentile(ratios, (25, 75))
        verdict = 'agree' if low > 1 else 'oppose' if high < 1 else 'close'
        order[verdict].append([greater, less])
    return order
