"""Check every network against what was published, and write the pages that say so."""

from collections.abc import Callable, Collection, Sequence
from importlib.metadata import version

import torch
from mmengine.logging import MMLogger

from mmeff.config import load_config
from mmeff.errors import UserError
from mmeff.fidelity import DETECTORS, FAMILIES, TIMED
from mmeff.fidelity.check import Result, check
from mmeff.fidelity.detectors import DetectorResult, check_detector
from mmeff.fidelity.page import detectors_page, fidelity_page, speed_page
from mmeff.fidelity.row import Row
from mmeff.fidelity.speed import Speed, compare_speed
from mmeff.profiling.environment import describe_environment
from mmeff.whole_file import whole_file

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def is_exact(result: Result) -> bool:
    """Counts to the digit, and outputs within `TOLERANCE` where there is a reference."""
    close = all(
        value <= TOLERANCE[dtype] for dtype, value in (result.difference or {}).items()
    )
    return result.counts_agree and close


def verify(
    families: Sequence[str] = (),
    out: str | None = None,
    report: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Check the networks of some families, or of all.

    Args:
        families: Names of `FAMILIES`; none means all.
        out: Markdown file to write.
        report: Called with each result as it comes.

    Raises:
        UserError: There is no such family, or a reference library is missing.
    """
    MMLogger.get_instance('verify', log_level='WARNING')  # a line for each load
    results = {}
    for family in _chosen(families, FAMILIES):
        results[family] = []
        for row in FAMILIES[family]:
            results[family].append(_check(row))
            report(results[family][-1])
    if out is not None:
        _write(out, fidelity_page(results))
    return [result for rows in results.values() for result in rows]


def verify_detectors(
    families: Sequence[str] = (),
    out: str | None = None,
    report: Callable[[DetectorResult], None] = lambda result: None,
) -> list[DetectorResult]:
    """Count the detectors of some families, or of all, as their configs build them.

    Args:
        families: Names of `DETECTORS`; none means all.
        out: Markdown file to write.
        report: Called with each result as it comes.
    """
    results = {}
    for family in _chosen(families, DETECTORS):
        results[family] = []
        for row in DETECTORS[family]:
            cfg = load_config(row.config, row.options)
            results[family].append(check_detector(row, cfg))
            report(results[family][-1])
    if out is not None:
        _write(out, detectors_page(results))
    return [result for rows in results.values() for result in rows]


def verify_speed(
    families: Sequence[str] = (),
    out: str | None = None,
    batch_size: int = 4,
    report: Callable[[Speed], None] = lambda speed: None,
) -> list[Speed]:
    """Time the networks of `TIMED` against their references on this CPU.

    Args:
        families: Names of `FAMILIES`; none means all.
        out: Markdown file to write.
        batch_size: Images in a pass.
        report: Called with each comparison as it comes.
    """
    MMLogger.get_instance('verify', log_level='WARNING')
    speeds = []
    for family in _chosen(families, FAMILIES):
        for row in FAMILIES[family]:
            if row.name not in TIMED:
                continue
            for speed in compare_speed(row, batch_size):
                speeds.append(speed)
                report(speed)
    if out is not None:
        _write(out, speed_page(speeds, _environment(batch_size)))
    return speeds


def _chosen(families: Sequence[str], table: Collection[str]) -> list[str]:
    unknown = [family for family in families if family not in table]
    if unknown:
        raise UserError(
            f'no family {unknown[0]!r}: expected some of {", ".join(table)}'
        )
    return list(families or table)


def _check(row: Row) -> Result:
    try:
        return check(row)
    except ImportError as error:
        raise UserError(
            f'{row.name} is compared with {row.reference}, which is not installed '
            f'({error}); pip install "mmeff[test]"'
        ) from error


def _environment(batch_size: int) -> str:
    found = describe_environment('cpu')
    packages = ', '.join(
        f'{name} {version(name)}' for name in ('torch', 'torchvision', 'timm')
    )
    return (
        f'{found["cpu"]}, {found["torch_threads"]} threads; {packages}; {batch_size} '
        'images of 224x224 a pass, float32.'
    )


def _write(out: str, text: str) -> None:
    with whole_file(out) as file:
        file.write_text(text, 'utf-8')
