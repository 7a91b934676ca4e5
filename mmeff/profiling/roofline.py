"""Roofline: how fast the device lets each layer be, and how close to that it comes.

Peaks are measured on the same device and in the same precision, none is taken from a
data sheet. A layer can be no faster than its arithmetic at the peak of matrix products,
nor than its memory access at the bandwidth of a large copy: its bound is the longer of
the two. Its share, bound over time, may exceed 1: maps that stay in a cache are not
fetched from memory, and a convolution may need fewer multiplications than its formula
(Winograd). It is not clipped.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import nn

from mmeff.profiling.counts import Operations, sum_calls
from mmeff.profiling.latency import Budget, Latency, Progress, measure
from mmeff.profiling.operators import (
    LayerCost,
    ModulePath,
    OperatorMode,
    layer_cost,
    no_fused_layers,
)
from mmeff.profiling.precision import PRECISIONS, check_precision, torch_settings
from mmeff.profiling.probes import copy, copy_bytes, product, product_sizes

# Five seconds for three products and the copy, more where one takes long.
BUDGET = Budget(rounds=3, min_runs=5, min_seconds=0.2, max_seconds=0.6)


@dataclass(frozen=True)
class Peaks:
    """What a device reached in one precision.

    Attributes:
        peak_gflops_per_s: By matrix products, two FLOPs per multiply-accumulate.
        bandwidth_gb_per_s: By copies, bytes read plus bytes written; GB are 1e9 bytes.
        method: How they were measured, for readers.
        precision: A key of `mmeff.profiling.precision.PRECISIONS`.
    """

    peak_gflops_per_s: float
    bandwidth_gb_per_s: float
    method: str
    precision: str

    @property
    def ridge_flop_per_byte(self) -> float:
        """Arithmetic intensity below which memory is the bound."""
        return self.peak_gflops_per_s / self.bandwidth_gb_per_s

    def compute_ms(self, macs: int) -> float:
        return 2 * macs / self.peak_gflops_per_s / 1e6

    def memory_ms(self, elements: int) -> float:
        return (
            elements * _dtype(self.precision).itemsize / self.bandwidth_gb_per_s / 1e6
        )


@dataclass(frozen=True)
class LayerTimes:
    """Time of one run in milliseconds.

    Attributes:
        layers: By layer, as `Operations.layers` has them.
        modules: All operators, by the path of the innermost module. What Python does
            between operators is in none of them.
    """

    layers: dict[LayerCost, float]
    modules: dict[str, float]


def measure_peaks(
    device: str | torch.device,
    precision: str,
    progress: Progress | None = None,
    budget: Budget = BUDGET,
) -> Peaks:
    """Measure the fastest matrix product and copy of a device.

    On a CPU with the threads that torch is set to in this moment.

    Args:
        device: For example 'cpu' or 'cuda:0'.
        precision: A key of `mmeff.profiling.precision.PRECISIONS`.
        progress: Called after each run.
        budget: How long to measure.

    Raises:
        UserError: The device has no such precision.
    """
    device = torch.device(device)
    check_precision(precision, device)
    dtype = _dtype(precision)
    with torch_settings(precision):
        sizes = {f'product of {n}': n for n in product_sizes(device, dtype)}
        runs = {name: product(size, device, dtype) for name, size in sizes.items()}
        num_bytes = copy_bytes(device)
        runs['copy'] = copy(num_bytes, device)
        latencies = measure(runs, device, budget, progress)
    return Peaks(
        max(2 * n**3 / latencies[name].min / 1e6 for name, n in sizes.items()),
        2 * num_bytes / latencies['copy'].min / 1e6,
        _method(list(sizes.values()), num_bytes, precision, latencies),
        precision,
    )


def layer_times(
    run: Callable[[], object],
    model: nn.Module,
    device: str | torch.device,
    runs: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> LayerTimes:
    """Time each operator of a run, in runs made for that: medians over them.

    Operators are timed one by one as they are dispatched, so that functional ones, and
    each size that a shared head works on, have a time of their own. On CUDA it is the
    time between two events on the stream: a kernel that is shorter than its launch
    shows the launch, as it does in an eager run. Layers that torch would fuse for
    inference (`nn.MultiheadAttention`) run unfused, as they do when they are counted.

    Args:
        run: A callable without arguments, which runs eagerly.
        model: Whose modules name the layers.
        device: Where the run computes.
        runs: How many are timed, after one that is not.
        progress: Told after each of them how many are done, and of how many.
    """
    device = torch.device(device)
    samples = []
    for number in range(runs + 1):
        samples.append(_time_once(run, model, device))
        if progress is not None:
            progress(number, runs)
    layers, modules = zip(*samples[1:], strict=True)
    return LayerTimes(_medians(layers), _medians(modules))


def roofline(operations: Operations, peaks: Peaks, latency_ms: float | None) -> dict:
    """What the roofline says of a whole run.

    Args:
        operations: Of the run, with all its images.
        peaks: Of the device in the precision of the run.
        latency_ms: How long the run takes; None if that is not known.

    Returns:
        The peaks; bound_ms, the sum of the layers' bounds, and share, that over the
        latency; elementwise_bound_ms, what all other operators need at least to read
        and write, when they run one by one: a compiler can save most of it.
    """
    bound_ms = sum(_bound(layer, peaks)[1] for layer in operations.layers)
    return {
        'peak_gflops_per_s': peaks.peak_gflops_per_s,
        'bandwidth_gb_per_s': peaks.bandwidth_gb_per_s,
        'precision': peaks.precision,
        'method': peaks.method,
        'ridge_flop_per_byte': peaks.ridge_flop_per_byte,
        'bound_ms': bound_ms,
        'elementwise_bound_ms': peaks.memory_ms(operations.elementwise_access),
        'share': None if latency_ms is None else bound_ms / latency_ms,
    }


def layer_rows(
    operations: Operations,
    images: int = 1,
    peaks: Peaks | None = None,
    times: LayerTimes | None = None,
) -> list[dict]:
    """The layers of a run as plain dicts, in the order in which they first ran.

    Args:
        operations: Of the run, with all its images.
        images: How many; macs_m, activations_m, memory_access_m, time_ms and bound_ms
            are divided by it.
        peaks: Of the device; without them bound, bound_ms and share are None.
        times: Of the same run; without them time_ms and share are None.
    """
    rows = []
    for layer in operations.layers:
        time_ms = None if times is None else times.layers.get(layer)
        bound, bound_ms = (None, None) if peaks is None else _bound(layer, peaks)
        known = time_ms and bound_ms is not None
        rows.append(
            {
                'name': layer.name,
                'op': layer.op,
                'calls': layer.calls,
                'macs_m': layer.macs / images / 1e6,
                'activations_m': layer.activations / images / 1e6,
                'memory_access_m': layer.memory_access / images / 1e6,
                'output_shape': list(layer.output_shape),
                'depthwise': layer.depthwise,
                'groups': layer.groups,
                'kernel': list(layer.kernel),
                'time_ms': None if time_ms is None else time_ms / images,
                'bound': bound,
                'bound_ms': None if bound_ms is None else bound_ms / images,
                'share': bound_ms / time_ms if known else None,
            }
        )
    return rows


def _bound(layer: LayerCost, peaks: Peaks) -> tuple[str, float]:
    """What holds a layer back, and the milliseconds it takes at least."""
    compute_ms = peaks.compute_ms(layer.macs)
    memory_ms = peaks.memory_ms(layer.memory_access)
    return max(('compute', compute_ms), ('memory', memory_ms), key=lambda b: b[1])


def _dtype(precision: str) -> torch.dtype:
    return PRECISIONS[precision][1] or torch.float32


def _method(
    sizes: list[int], num_bytes: int, precision: str, latencies: dict[str, Latency]
) -> str:
    runs = min(latency.n for latency in latencies.values())
    dtype = str(_dtype(precision)).removeprefix('torch.')
    return (
        f'fastest of at least {runs} runs each: products of square matrices with '
        f'{", ".join(map(str, sizes))} rows in {dtype}'
        f'{" with TF32" if precision == "tf32" else ""}, and a copy of '
        f'{num_bytes // 2**20} MiB, bytes read plus bytes written'
    )


def _time_once(
    run: Callable[[], object], model: nn.Module, device: torch.device
) -> tuple[Counter, Counter]:
    """Milliseconds by layer and by path of the module."""
    with torch.no_grad(), no_fused_layers(), ModulePath(model) as path:
        timer = _Timer(path, device)
        with timer:
            run()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    modules, calls, calls_ms = Counter(), Counter(), Counter()
    for name, call, start, stop in timer.marks:
        time_ms = timer.elapsed_ms(start, stop)
        modules[name] += time_ms
        if call is not None:
            calls[call] += 1
            calls_ms[call] += time_ms
    layers = zip(sum_calls(calls), calls_ms.values(), strict=True)
    return Counter(dict(layers)), modules


def _medians(samples: Iterable[Counter]) -> dict:
    """Median of each key; a run that lacks it does not count."""
    values = defaultdict(list)
    for sample in samples:
        for key, value in sample.items():
            values[key].append(value)
    return {key: float(np.median(times)) for key, times in values.items()}


class _Timer(OperatorMode):
    """Marks the time before and after each operator."""

    def __init__(self, path: ModulePath, device: torch.device) -> None:
        super().__init__()
        self.path = path
        self.device = device
        self.marks = []  # name of the module, cost of the call or None, start, stop

    def mark(self):
        if self.device.type != 'cuda':
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def elapsed_ms(self, start, stop) -> float:
        if self.device.type != 'cuda':
            return 1000 * (stop - start)
        return start.elapsed_time(stop)

    def handle(self, func, args, kwargs):
        start = self.mark()
        out = func(*args, **kwargs)
        stop = self.mark()
        name = self.path.current
        call = layer_cost(name, func, args, kwargs, out)
        self.marks.append((name, call, start, stop))
        return out
