"""Wall-clock latency of callables on a device.

Every callable is warmed up by time and by count until it is stable. Then come rounds in
which the callables take turns (A B A B ...), so that a drift of clocks or temperature
meets all of them alike. Each run is timed alone, between two synchronisations of the
device. All samples are kept and none is clipped: the tail belongs to the result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import torch

from mmeff.errors import UserError

WINDOW = 20  # runs whose median is compared to that of the runs before them
TOLERANCE = 0.02  # by how much the two may differ in a stable state
LEAST_RUNS = 3  # made even if the time is over

# name of the callable, round (0 is the warm-up), samples of this turn so far in ms
Progress = Callable[[str, int, Sequence[float]], None]


def is_stable(samples_ms: Sequence[float]) -> bool:
    """Whether the median of the last `WINDOW` runs equals that of the ones before."""
    if len(samples_ms) < 2 * WINDOW:
        return False
    last = np.median(samples_ms[-WINDOW:])
    previous = np.median(samples_ms[-2 * WINDOW : -WINDOW])
    return bool(abs(last - previous) <= TOLERANCE * previous)


@dataclass(frozen=True)
class Budget:
    """How long to measure; the warm-up follows from it.

    Attributes:
        rounds: Turns of each callable.
        min_runs: A turn has at least so many runs
        min_seconds: and lasts at least so long,
        max_seconds: but ends after this time, as a slow model on a CPU needs it.

    Raises:
        UserError: A number is out of its range.
    """

    rounds: int = 3
    min_runs: int = 200
    min_seconds: float = 10.0
    max_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.min_runs < 1:
            raise UserError(
                f'rounds={self.rounds}, min_runs={self.min_runs}: expected 1 or more'
            )
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise UserError(
                f'min_seconds={self.min_seconds}, max_seconds={self.max_seconds}: '
                'expected 0 <= min_seconds <= max_seconds'
            )

    def is_warm(self, samples_ms: Sequence[float], seconds: float) -> bool:
        """Whether a warm-up may end: a quarter of a turn, and stable, or half its limit.

        With the defaults these are 50 runs and 3 seconds, and 30 seconds.
        """
        if seconds >= 0.5 * self.max_seconds:
            return len(samples_ms) >= LEAST_RUNS
        long_enough = seconds >= 0.3 * self.min_seconds
        many_enough = len(samples_ms) >= self.min_runs // 4
        return long_enough and many_enough and is_stable(samples_ms)

    def is_enough(self, samples_ms: Sequence[float], seconds: float) -> bool:
        """Whether a turn may end."""
        if seconds >= self.max_seconds:
            return len(samples_ms) >= min(LEAST_RUNS, self.min_runs)
        return len(samples_ms) >= self.min_runs and seconds >= self.min_seconds


@dataclass(frozen=True)
class Latency:
    """All samples of one callable and what follows from them.

    Attributes:
        rounds_ms: Samples in milliseconds, one tuple per round, in order.
        warmup_runs: Runs before the first sample.
        warmup_stable: Whether the latency was stable when the warm-up ended; if not,
            its time was over.
    """

    rounds_ms: tuple[tuple[float, ...], ...]
    warmup_runs: int
    warmup_stable: bool

    @property
    def samples_ms(self) -> np.ndarray:
        """Samples of all rounds, shape (n,)."""
        return np.concatenate(self.rounds_ms)

    @property
    def n(self) -> int:
        return len(self.samples_ms)

    @property
    def mean(self) -> float:
        return float(self.samples_ms.mean())

    @property
    def median(self) -> float:
        return float(np.median(self.samples_ms))

    @property
    def p90(self) -> float:
        return float(np.percentile(self.samples_ms, 90))

    @property
    def p99(self) -> float:
        return float(np.percentile(self.samples_ms, 99))

    @property
    def std(self) -> float:
        return float(self.samples_ms.std())

    @property
    def min(self) -> float:
        return float(self.samples_ms.min())

    @property
    def max(self) -> float:
        return float(self.samples_ms.max())

    @property
    def round_medians(self) -> list[float]:
        return [float(np.median(samples)) for samples in self.rounds_ms]

    @property
    def spread_percent(self) -> float | None:
        """Slowest minus fastest round, by their medians, over the median round.

        None if there is one round only.
        """
        medians = self.round_medians
        if len(medians) < 2:
            return None
        return float(100 * np.ptp(medians) / np.median(medians))

    def summary(self) -> dict:
        """The numbers that are reported, in milliseconds where no unit is named."""
        names = ('n', 'mean', 'median', 'p90', 'p99', 'std', 'min', 'max')
        names += ('round_medians', 'spread_percent', 'warmup_runs', 'warmup_stable')
        return {name: getattr(self, name) for name in names}


def measure(
    callables: Mapping[str, Callable[[], object]],
    device: str | torch.device = 'cpu',
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> dict[str, Latency]:
    """Time callables on a device, in turns.

    Args:
        callables: What to run, by name.
        device: Synchronised before and after each run when it is a CUDA device.
        budget: How long to measure; the defaults of `Budget` if None.
        progress: Called after each run, outside the timed region.

    Returns:
        A `Latency` for each name.
    """
    budget = budget or Budget()
    repeat = partial(_repeat, synchronize=_synchronizer(torch.device(device)))
    report = progress or (lambda *_: None)
    warmups = {
        name: repeat(run, finished=budget.is_warm, report=partial(report, name, 0))
        for name, run in callables.items()
    }
    rounds = {name: [] for name in callables}
    for number in range(1, budget.rounds + 1):
        for name, run in callables.items():
            turn = repeat(
                run, finished=budget.is_enough, report=partial(report, name, number)
            )
            rounds[name].append(tuple(turn))
    return {
        name: Latency(tuple(rounds[name]), len(warmup), is_stable(warmup))
        for name, warmup in warmups.items()
    }


def _synchronizer(device: torch.device) -> Callable[[], None]:
    if device.type == 'cuda':
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


def _repeat(
    run: Callable[[], object],
    *,
    synchronize: Callable[[], None],
    finished: Callable[[Sequence[float], float], bool],
    report: Callable[[Sequence[float]], None],
) -> list[float]:
    """Run until `finished(samples_ms, seconds)`; returns the samples in ms."""
    samples = []
    begin = perf_counter()
    while not finished(samples, perf_counter() - begin):
        synchronize()
        start = perf_counter()
        run()
        synchronize()
        samples.append(1000 * (perf_counter() - start))
        report(samples)
    return samples
