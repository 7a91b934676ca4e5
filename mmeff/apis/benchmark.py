"""Measure what detectors cost: parameters, operations, latency, memory, energy."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmengine.config import Config

from mmeff.apis.benchmark_case import Case
from mmeff.apis.benchmark_options import Options, precision_of
from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.deploy.choose import BASELINE
from mmeff.errors import UserError
from mmeff.profiling.detector import strict_compilation
from mmeff.profiling.environment import describe_environment
from mmeff.profiling.latency import Latency, measure
from mmeff.profiling.monitor import ClockMonitor
from mmeff.profiling.precision import torch_settings
from mmeff.profiling.results import read_result, result_name, write_result
from mmeff.profiling.roofline import measure_peaks

Progress = Callable[[str], None]  # hears after each run what is going on
Done = Callable[[dict], None]  # gets each result once it is written


def benchmark(
    configs: str | Path | Config | Sequence[str | Path | Config],
    checkpoints: Sequence[str | Path | None] | None = None,
    options: Options | None = None,
    *,
    device: str | None = None,
    cfg_options: dict | None = None,
    out_dir: str | Path = 'results',
    progress: Progress | None = None,
    done: Done | None = None,
) -> list[dict]:
    """Measure one or several detectors on one device; one JSON file for each backend.

    Needs neither a dataset nor, when random weights are good enough, checkpoints.
    Several detectors, and one detector in several backends, are in memory at once and
    take turns, so that a drift of the machine meets all of them alike.

    Args:
        configs: Config files, names of mmeff's, or configs.
        checkpoints: Weights of each; with random ones the number of boxes means
            nothing, and the time of what follows the network depends on it.
        options: What to measure and how.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.
        cfg_options: Settings of the configs to override.
        out_dir: Folder of the results, see `mmeff.profiling.results.result_name`.
        progress: Called after each run.
        done: Called with each result. When the benchmark is interrupted, the results
            that it got are those that were written.

    Returns:
        The results as in the files, and each file's path under 'file'.

    Raises:
        UserError: Arguments do not fit; nothing was measured then.
    """
    options, tell = options or Options(), progress or (lambda _: None)
    if isinstance(configs, str | Path | Config):
        configs = [configs]
    checkpoints = checkpoints or [None] * len(configs)
    if len(checkpoints) != len(configs):
        raise UserError(
            f'{len(checkpoints)} checkpoints for {len(configs)} configs; expected one '
            'for each, in the same order'
        )
    with (
        TemporaryDirectory(prefix='mmeff-') as folder,
        settings(options),
    ):

        def build(config, checkpoint) -> list[Case]:
            cfg = load_config(config, cfg_options)
            return _build_cases(cfg, options, checkpoint, device, folder, tell)

        cases = _build_all(build, configs, checkpoints)
        return measure_cases(cases, out_dir, progress, done)


@contextmanager
def settings(options: Options) -> Iterator[None]:
    """Settings of torch in which detectors are built and measured."""
    compiles = options.compile or 'compile' in dict(options.variants)
    strict = strict_compilation() if compiles else nullcontext()
    precision = precision_of(BASELINE, options.precision)
    with torch_settings(precision, options.threads), strict:
        yield


def measure_cases(
    cases: Sequence[Case],
    out_dir: str | Path,
    progress: Progress | None = None,
    done: Done | None = None,
) -> list[dict]:
    """Measure detectors that are built; other arguments and results as above.

    Call it in `settings` of the cases' options, which are the same.
    """
    tell = progress or (lambda _: None)
    options, device = cases[0].options, cases[0].regions.device
    _name_apart(cases)
    for case in cases:
        tell(f'{case.label}: counting operations, measuring memory')
        case.count()
        with _alone(case, cases) as others:
            case.compile()
            case.measure_memory(others)
    _make_folder(out_dir)
    with ClockMonitor(device) as monitor:
        latencies = _time(cases, tell)
    environment = describe_environment(device)
    peaks = {}
    if options.layers:
        precisions = {case.peak_precision for case in cases}
        peaks = {name: measure_peaks(device, name) for name in sorted(precisions)}
    by_case = dict(zip(cases, latencies, strict=True))
    results = []
    for case, times in by_case.items():
        tell(f'{case.label}: measuring energy and layers')
        case.measure_energy()
        if peaks:
            case.measure_layers(peaks[case.peak_precision])
        baseline = _baseline(case)
        content = case.result(
            times, monitor.summary(), environment, by_case.get(baseline)
        )
        results.append(_write(content, case, out_dir, results))
        if done is not None:
            done(results[-1])
    return results


def _time(cases: Sequence[Case], tell: Progress) -> list[dict[str, Latency]]:
    """Latencies of each detector by region; all of them take turns.

    Raises:
        UserError: The detectors do not fit into the memory together.
    """
    runs = {(c.label, name): run for c in cases for name, run in c.runs().items()}
    budget = cases[0].options.budget

    def progress(name, number: int, samples_ms: Sequence[float]) -> None:
        turn = f'round {number} of {budget.rounds}' if number else 'warm-up'
        last = f'run {len(samples_ms)}, {samples_ms[-1]:.2f} ms'
        tell(f'{": ".join(name)}: {turn}, {last}')

    try:
        latencies = measure(runs, cases[0].regions.device, budget, progress)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f'out of memory with {len(cases)} detectors at once; measure fewer of them '
            'in one command, or a smaller --shape or --batch'
        ) from error
    return [{name: latencies[c.label, name] for name in c.runs()} for c in cases]


def _build_cases(
    cfg: Config,
    options: Options,
    checkpoint: str | Path | None,
    device: str | None,
    folder: str | Path,
    tell: Progress,
) -> list[Case]:
    """One detector in each of the backends, as siblings; arguments as for `Case`.

    Raises:
        UserError: None of them can be used, or not one that is asked for by its name.
    """
    model = build_detector(cfg, checkpoint, device)
    cases, refused = [], {}
    for name, precision in options.variants:
        if name != BASELINE:
            tell(f'{Path(cfg.filename or "config").stem}: building {name}')
        try:
            cases.append(
                Case(cfg, options, checkpoint, device, folder, model, name, precision)
            )
        except UserError as error:
            if options.is_named(name):
                raise
            refused[name] = str(error)
    if not cases:
        raise UserError('; '.join(dict.fromkeys(refused.values())))
    for case in cases:
        case.siblings, case.refused = cases, refused
    return cases


def _baseline(case: Case) -> Case | None:
    """mmdet's own way, if it is measured beside a backend."""
    if len(case.siblings) == 1:
        return None
    return next((each for each in case.siblings if each.is_baseline), None)


def _build_all(build: Callable[..., list[Case]], configs, checkpoints) -> list[Case]:
    """All or none, so that nobody waits for half of a comparison.

    Raises:
        UserError: With the messages of all that cannot be built.
    """
    cases, problems = [], []
    for config, checkpoint in zip(configs, checkpoints, strict=True):
        try:
            cases += build(config, checkpoint)
        except UserError as error:
            problems.append((config, error))
    if problems and len(configs) == 1:
        raise problems[0][1]
    if problems:
        lines = [f'{getattr(c, "filename", c)}: {error}' for c, error in problems]
        first = f'{len(problems)} of {len(configs)} detectors cannot be measured'
        raise UserError('\n'.join([first, *lines]))
    return cases


def _name_apart(cases: Sequence[Case]) -> None:
    """Tell backends in the labels, and number those of detectors with the same name."""
    for case in cases:
        if len(case.siblings) > 1:
            case.label = f'{case.name}, {case.backend} {case.precision}'
        own = case.name, case.backend, case.precision
        same = [c for c in cases if (c.name, c.backend, c.precision) == own]
        if len(same) > 1:
            case.label += f' #{same.index(case) + 1}'


@contextmanager
def _alone(case: Case, cases: Sequence[Case]) -> Iterator[int]:
    """Keep the other detectors out of the memory of a GPU; gives how many are left.

    What a backend has made cannot be moved.
    """
    device = case.regions.device
    others = [other for other in cases if other is not case]
    movable = [c.regions for c in others if c.is_baseline and device.type == 'cuda']
    for regions in movable:
        regions.move(torch.device('cpu'))
    try:
        yield len(others) - len(movable)
    finally:
        for regions in movable:
            regions.move(device)


def _make_folder(folder: str | Path) -> None:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'cannot write to {folder}: {error.strerror}') from error


def _write(content: dict, case: Case, out_dir: str | Path, results: list) -> dict:
    """Write a result; the same weights a second time get a number, not the same file."""
    name = result_name(case.name, content['settings'], content['checkpoint_sha256'])
    written = {Path(result['file']).name for result in results}
    number = 2
    while name in written:
        name = f'{name.removesuffix(".json")}__{number}.json'
        number += 1
    path = write_result(content, out_dir, name)
    return {**read_result(path), 'file': str(path)}
