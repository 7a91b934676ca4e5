"""Repeat the papers' experiments on fast nets on the user's device."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from mmengine.device import get_device

from mmeff.errors import UserError
from mmeff.guidelines.experiment import BUDGET, measure_guideline
from mmeff.guidelines.figures import draw_guidelines, save_figure
from mmeff.guidelines.files import write_json
from mmeff.guidelines.tables import GUIDELINES, WIDTHS, Guideline
from mmeff.profiling.environment import describe_environment, device_name
from mmeff.profiling.latency import Budget, Progress
from mmeff.profiling.precision import check_precision, torch_settings
from mmeff.profiling.results import result_name

Report = Callable[[dict], None]


def measure_guidelines(
    guidelines: Sequence[str] = tuple(GUIDELINES),
    *,
    widths: Sequence[int] = (1,),
    columns: str | None = None,
    batch: int = 1,
    precision: str = 'fp32',
    threads: int | None = None,
    budget: Budget = BUDGET,
    device: str | None = None,
    out_dir: str | Path = 'results',
    progress: Progress | None = None,
    report: Report | None = None,
) -> dict:
    """Measure guidelines and write the result as JSON and as a picture.

    Args:
        guidelines: Keys of `mmeff.guidelines.tables.GUIDELINES`.
        widths: Factors of all channels, out of 1, 2 and 4. Those that the paper does
            not have for a guideline are left out there.
        columns: 'gpu' or 'cpu', whose channels and speeds of the paper to take; by
            default those that fit the device.
        batch: Images per run.
        precision: 'fp32', 'tf32', 'amp-fp16' or 'amp-bf16'.
        threads: Threads on the CPU; torch's own choice by default.
        budget: How long to measure each net.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.
        out_dir: Folder of the JSON file, see `result_name`, and of a picture.
        progress: Called after each run with the guideline, the width and the net as its
            first argument, such as 'G1 x1 1:2'.
        report: Called with each guideline's part of the result as soon as it is there.

    Returns:
        The result as in the file, and the paths under 'file' and 'picture'.

    Raises:
        UserError: An argument does not fit, nothing is to be measured, or the result
            cannot be written.
    """
    device = torch.device(device or get_device())
    columns = columns or ('cpu' if device.type == 'cpu' else 'gpu')
    chosen = _choose(guidelines, widths, columns, batch)
    check_precision(precision, device)
    settings = {
        'device': device_name(device),
        'precision': precision,
        'batch': batch,
        'threads': threads,
        'columns': columns,
        'image_shape': 2 * (chosen[0].size,),
        **asdict(budget),
    }
    options = {
        'device': device,
        'precision': precision,
        'batch': batch,
        'budget': budget,
    }
    result = {'settings': settings, 'guidelines': []}
    with torch_settings(precision, threads):
        for guideline in chosen:
            part = _measure(guideline, widths, columns, progress, options)
            result['guidelines'].append(part)
            if report:
                report(part)
        result['environment'] = describe_environment(device)
    file = Path(out_dir) / result_name('guidelines', settings)
    picture = file.with_suffix('.png')
    write_json(result, file)
    figure = draw_guidelines(result['guidelines'], settings['device'])
    save_figure(figure, picture)
    return {**result, 'file': str(file), 'picture': str(picture)}


def _measure(
    guideline: Guideline,
    widths: Sequence[int],
    columns: str,
    progress: Progress | None,
    options: dict,
) -> dict:
    """One guideline at those of the widths that it has."""
    return {
        'key': guideline.key,
        'claim': guideline.claim,
        'size': guideline.size,
        'paper_unit': {'gpu': guideline.gpu, 'cpu': guideline.cpu}[columns],
        'measurements': [
            measure_guideline(
                guideline,
                width,
                columns,
                progress=_named(progress, f'{guideline.key} x{width}'),
                **options,
            )
            for width in sorted(set(widths) & set(guideline.widths))
        ],
    }


def _choose(
    keys: Sequence[str], widths: Sequence[int], columns: str, batch: int
) -> list[Guideline]:
    """Guidelines that have one of the widths.

    Raises:
        UserError: An argument is out of its range, or there are none.
    """
    for name, values, known in (
        ('guidelines', keys, tuple(GUIDELINES)),
        ('widths', widths, WIDTHS),
        ('columns', [columns], ('gpu', 'cpu')),
    ):
        if not set(values) <= set(known):
            text, expected = (' '.join(map(str, items)) for items in (values, known))
            raise UserError(f'{name} {text}: expected some of {expected}')
    if batch < 1:
        raise UserError(f'batch={batch}: expected 1 or more')
    chosen = [GUIDELINES[key] for key in dict.fromkeys(keys)]
    chosen = [guideline for guideline in chosen if set(widths) & set(guideline.widths)]
    if not chosen:
        raise UserError(
            f'{" ".join(keys)}: the paper has no width '
            f'{" ".join(f"x{width}" for width in widths)} of it; say --widths 1'
        )
    return chosen


def _named(progress: Progress | None, prefix: str) -> Progress | None:
    if progress is None:
        return None
    return lambda name, *state: progress(f'{prefix} {name}', *state)
