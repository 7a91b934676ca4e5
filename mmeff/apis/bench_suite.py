"""Every detector of the papers on one device: the runs, their order and their budget."""

import copy
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from time import monotonic

import torch
from mmengine.device import get_device

from mmeff.apis.benchmark import measure_cases, settings
from mmeff.apis.benchmark_case import Case
from mmeff.apis.benchmark_options import Options
from mmeff.checkpoints.detector import build_detector
from mmeff.config import CONFIGS, load_config
from mmeff.errors import UserError
from mmeff.profiling.energy import IDLE_SECONDS, SETTLE_SECONDS
from mmeff.profiling.latency import Budget

DETECTORS = (
    'dsod300_*',  # VoVNet paper, Table 2
    'refinedet320_*',  # Table 4
    'refinedet512_*',
    'vovnet*_maskrcnn',  # Table 5
    'ssdlite320_*',
    'ssd300_*',
    'pelee304_*',
)
QUICK = ('ssdlite320_mobilenetv2_coco', 'pelee304_voc')
ROUNDS = 3
ENERGY_SECONDS = 10.0  # one window a detector
IDLE = SETTLE_SECONDS + IDLE_SECONDS
TIMED = 0.5  # of a run's time; the rest is building, counting, kernel search
TURNS = 2 * (ROUNDS + 1)  # of two regions, each with a warm-up
REPORT_SECONDS = 30.0
# Seconds that a run may take, by whether it is compiled, until one took longer.
FIRST_GUESS = {False: 5.0, True: 60.0}


@dataclass(frozen=True)
class Run:
    """One detector in one setup."""

    config: str
    precision: str
    batch: int
    compile: bool
    energy: bool

    def __str__(self) -> str:
        mode = 'compiled' if self.compile else 'eager'
        return f'{self.config}, {self.precision}, batch {self.batch}, {mode}'


@dataclass
class Outcome:
    """What became of the runs of a suite.

    Attributes:
        files: Results that were written.
        failures: Runs that failed, and why.
        skipped: Runs that the time did not suffice for.
    """

    files: list[str] = field(default_factory=list)
    failures: list[tuple[Run, str]] = field(default_factory=list)
    skipped: list[Run] = field(default_factory=list)


def plan(device: str, quick: bool = False) -> list[Run]:
    """All runs, the most telling ones first, since time may be over before the last.

    Args:
        device: On a CPU there is no run in half precision.
        quick: Two small detectors, eager, one image.

    Returns:
        Eager ones come before compiled ones, which take many times longer, and batch 1
        before 8. Energy is measured in fp32, eager, batch 1.
    """
    if quick:
        return [Run(config, 'fp32', 1, False, True) for config in QUICK]
    names = sorted(path.stem for path in CONFIGS.glob('*.py'))
    configs = [name for like in DETECTORS for name in names if fnmatch(name, like)]
    precisions = ('fp32', 'amp-fp16') if device.startswith('cuda') else ('fp32',)
    return [
        Run(config, *setup, energy=setup == ('fp32', 1, False))
        for setup in [
            (precision, batch, compiled)
            for compiled in (False, True)
            for batch in (1, 8)
            for precision in precisions
        ]
        for config in configs
    ]


def budget_of(runs: Sequence[Run], seconds: float) -> Budget:
    """How long each run may measure so that all of them end in time.

    Args:
        runs: All of them.
        seconds: For the whole suite.

    Raises:
        UserError: That is too little.
    """
    energy_seconds = sum(run.energy for run in runs) * (ENERGY_SECONDS + IDLE)
    seconds_of_run = (seconds - REPORT_SECONDS - energy_seconds) / len(runs)
    if seconds_of_run < 1:
        raise UserError(
            f'{seconds / 60:g} minutes are too few for {len(runs)} runs; expected '
            f'{(REPORT_SECONDS + energy_seconds + len(runs)) / 60:.0f} or more (--minutes)'
        )
    turn = seconds_of_run * TIMED / TURNS
    return Budget(ROUNDS, min_runs=10, min_seconds=turn / 2, max_seconds=turn)


def bench_suite(
    device: str | None = None,
    quick: bool = False,
    minutes: float = 20.0,
    out_dir: str | Path = 'results/suite',
    report: Callable[[int, int, Run, str], None] | None = None,
    runs: Sequence[Run] | None = None,
) -> Outcome:
    """Measure all detectors, one after the other; one that fails stops no other.

    Args:
        device: For example 'cuda'; by default a GPU when there is one.
        quick: See `plan`.
        minutes: For all of it. A run is begun only if it will probably end in time.
        out_dir: Folder of the results.
        report: Called after each run with its number, how many there are, the run, and
            what came out, for people.
        runs: In place of those of `plan`.

    Raises:
        UserError: The time is too short for any of it.
    """
    device = device or get_device()
    begin = monotonic()
    runs = plan(device, quick) if runs is None else runs
    budget = budget_of(runs, 60 * minutes)
    tell = report or (lambda *_: None)
    outcome, models = Outcome(), {}
    longest = dict(FIRST_GUESS)
    for number, run in enumerate(runs, 1):
        start = monotonic()
        left = 60 * minutes - REPORT_SECONDS - (start - begin)
        if left < longest[run.compile]:
            outcome.skipped.append(run)
            continue
        try:
            result = _measure(run, device, budget, out_dir, models)
        except (
            Exception
        ) as error:  # whatever it is, the other detectors can be measured
            outcome.failures.append((run, _first_line(error)))
            tell(number, len(runs), run, f'failed, {_first_line(error)}')
        else:
            outcome.files.append(result['file'])
            tell(number, len(runs), run, _told(result['metrics']))
        _tidy(device)
        longest[run.compile] = max(longest[run.compile], monotonic() - start)
    return outcome


def _measure(run: Run, device: str, budget: Budget, out_dir, models: dict) -> dict:
    """The result of one run; `models` keeps what was built, by config."""
    options = Options(
        batch=run.batch,
        precision=run.precision,
        compile=run.compile,
        energy_windows=int(run.energy),
        energy_seconds=ENERGY_SECONDS,
        budget=budget,
    )
    cfg = load_config(run.config)
    if run.config not in models:
        models[run.config] = build_detector(cfg, device='cpu')
    model = copy.deepcopy(models[run.config]).to(device)
    with settings(options):
        return measure_cases([Case(cfg, options, model=model)], out_dir)[0]


def _tidy(device: str) -> None:
    """Leave nothing of a run to the next one."""
    torch.compiler.reset()
    gc.collect()
    if device.startswith('cuda'):
        torch.cuda.empty_cache()


def _told(metrics: dict) -> str:
    text = f'{metrics["latency_detect_ms"]["median"]:.2f} ms, {metrics["fps"]:.1f} FPS'
    energy = metrics['energy_j_per_img']
    return text if energy is None else f'{text}, {energy:.3g} J/img'


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ['']
    return (
        lines[0]
        if isinstance(error, UserError)
        else (f'{type(error).__name__}: {lines[0]}')
    )
