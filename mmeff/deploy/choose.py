"""The fastest way to run a detector on this machine, among those that find the same."""

import copy
import statistics
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, perf_counter

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mmeff.deploy.agreement import compare, cuts_of
from mmeff.deploy.backends import BACKENDS
from mmeff.deploy.optimized import optimize
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch
from mmeff.profiling.precision import torch_settings

BASELINE = 'mmdet'  # the detector as it is
NAMES = (BASELINE, *BACKENDS)
ALL = 'all'
TOLERANCE = {'fp32': 1e-3}  # of the largest value of an output
HALF_TOLERANCE = 5e-2
TURNS, LEAST_TURNS = 10, 2
SECONDS = 20.0  # after which no more turns begin

Tell = Callable[[str], None]


def choose(
    model: nn.Module,
    *,
    precision: str = 'fp32',
    threads: int | None = None,
    data: dict | None = None,
    progress: Tell | None = None,
) -> tuple[str, nn.Module]:
    """Build every backend that this machine has, check and time them, keep the fastest.

    A backend is kept only if the outputs of its network and its detections agree with
    those of mmdet's own way, in float32. Takes about 20 seconds beside the exports and
    compilations, which take longer.

    Args:
        model: Detector in eval mode, with its config as `cfg`.
        precision: Of the backends: 'fp32', 'bf16' or 'fp16'.
        threads: Of an operator on a CPU; torch's own choice by default.
        data: A batch to measure on, as a test dataloader gives it; by default a
            synthetic image of the test pipeline's size.
        progress: Hears what is going on.

    Returns:
        Name of the backend, 'mmdet' if none is faster, and the detector. Its
        `backend_report` has of each backend the milliseconds of a `test_step`, or the
        reason why it was left out.
    """
    tell = progress or (lambda _: None)
    data = make_batch(model.cfg) if data is None else data
    with torch_settings('fp32', threads):
        detectors, report = build_backends(
            model, [ALL], precision=precision, threads=threads, data=data, progress=tell
        )
        for name in [name for name in detectors if name != BASELINE]:
            tell(f'{name}: checking')
            reason = disagreement(detectors[name], model, data, precision)
            if reason is not None:
                report[name] = reason
                del detectors[name]
        tell(f'timing {", ".join(detectors)}')
        times = _time(detectors, data)
    name = min(times, key=times.__getitem__)
    detectors[name].backend_report = {**times, **report}
    return name, detectors[name]


def build_backends(
    model: nn.Module,
    asked: Sequence[str],
    *,
    progress: Tell | None = None,
    **options,
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The detector as each backend runs it.

    Args:
        model: As for `choose`.
        asked: Names of `NAMES`; 'all' stands for all of them that can be used.
        progress: Hears what is going on.
        **options: As for `optimize`.

    Returns:
        {name: detector}, and {name: reason} of those that 'all' left out.

    Raises:
        UserError: A backend that was asked for by its name cannot be used.
    """
    detectors, refused = {}, {}
    for name in expand(asked):
        if progress is not None and name != BASELINE:
            progress(f'{name}: building')
        try:
            detectors[name] = build_backend(model, name, **options)
        except UserError as error:
            if name in asked:
                raise
            refused[name] = str(error)
    return detectors, refused


def expand(asked: Sequence[str]) -> list[str]:
    """Each name once, and all in place of 'all'.

    Raises:
        UserError: There is no such backend.
    """
    unknown = [name for name in asked if name not in (*NAMES, ALL)]
    if unknown:
        raise UserError(
            f'backend {unknown[0]!r}: expected some of {", ".join((*NAMES, ALL))}'
        )
    names = [each for name in asked for each in (NAMES if name == ALL else [name])]
    return list(dict.fromkeys(names))


def build_backend(model: nn.Module, name: str, data: dict, **options) -> nn.Module:
    """As `optimize`, but the backend has run once; 'mmdet' is the detector as it is.

    Some backends compile, and fail, when they run for the first time.

    Raises:
        UserError: The backend cannot be used, for whatever reason.
    """
    if name == BASELINE:
        return model
    try:
        fast = optimize(model, name, data=data, **options)
        with torch.no_grad():
            fast.test_step(data)
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # each runtime has exceptions of its own
        lines = str(error).strip().splitlines() or ['']
        raise UserError(
            f'backend {name} cannot run {type(model).__name__}: '
            f'{type(error).__name__}: {lines[0]}'
        ) from error
    return fast


@torch.no_grad()
def disagreement(
    fast: nn.Module, model: nn.Module, data: dict, precision: str = 'fp32'
) -> str | None:
    """How an optimised detector differs from the original; None if they agree.

    Args:
        fast: What `optimize` made of `model`.
        model: The original.
        data: A batch as a test dataloader gives it.
        precision: Of the optimised one.
    """
    images = model.data_preprocessor(copy.deepcopy(data), False)['inputs']
    limit = TOLERANCE.get(precision, HALF_TOLERANCE)
    outputs = zip(_outputs(fast, images), _outputs(model, images), strict=True)
    largest = max(_difference(output, expected) for output, expected in outputs)
    if not largest <= limit:
        return (
            f'outputs of the network differ by {largest:.1e} of their largest value, '
            f'more than {limit:g}'
        )
    runs = fast.test_step(data), model.test_step(data)
    found = compare(*runs, cuts_of(model.cfg), precision)
    if not found.agrees(precision):
        return (
            f'detections differ: {found.unmatched} of {found.boxes + found.unmatched} '
            f'unmatched, by {found.max_box_px:.1e} px and {found.max_score:.1e} in score'
        )
    return None


def _outputs(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Of the dense head, and the feature maps if a second stage needs them."""
    features = model.extract_feat(images)
    if not getattr(model, 'with_rpn', False):
        return tree_leaves(model.bbox_head(features))
    return [*features, *tree_leaves(model.rpn_head(features))]


def _difference(output: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest value; infinite if something is no number."""
    difference = (output - expected).abs().max() / expected.abs().max().clamp(min=1e-12)
    return float(difference.nan_to_num(torch.inf))


@torch.no_grad()
def _time(detectors: Mapping[str, nn.Module], data: dict) -> dict[str, float]:
    """Median milliseconds of a `test_step`; the detectors take turns."""
    samples = {name: [] for name in detectors}
    begin = monotonic()
    for turn in range(TURNS):
        if turn >= LEAST_TURNS and monotonic() - begin > SECONDS:
            break
        for name, detector in detectors.items():
            start = perf_counter()
            detector.test_step(data)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            samples[name].append(1000 * (perf_counter() - start))
    return {name: statistics.median(times) for name, times in samples.items()}
