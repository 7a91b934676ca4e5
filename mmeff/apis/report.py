"""Make a report of result files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmeff.errors import UserError
from mmeff.reporting.choose import Choice, choose
from mmeff.reporting.page import make_page
from mmeff.reporting.plots import write_plots
from mmeff.reporting.rows import Report, make_report
from mmeff.reporting.text import for_csv, for_markdown
from mmeff.whole_file import whole_file


@dataclass(frozen=True)
class Made:
    """A report, the models chosen for a target, and the files that were written."""

    report: Report
    choices: tuple[Choice, ...]
    files: tuple[Path, ...]


def report(
    results: Sequence[str | Path],
    out: str | Path | None = None,
    target_latency_ms: float | None = None,
    target_fps: float | None = None,
) -> Made:
    """Join evaluations and benchmarks, and write tables, figures and a page.

    Args:
        results: Files of `benchmark` and `test`, or folders of them.
        out: Folder for table.md, table.csv, report.html and figures/; or one file whose
            name ends in .md, .csv or .html. Nothing is written without it.
        target_latency_ms: Choose models for this latency of `detect`,
        target_fps: or for these images per second.

    Raises:
        UserError: Nothing can be read, a target is wrong, or `out` cannot be written.
    """
    made = make_report(results)
    choices = []
    if target_latency_ms is not None or target_fps is not None:
        choices = choose(made, target_latency_ms, target_fps)
    files = [] if out is None else _write(made, choices, Path(out))
    return Made(made, tuple(choices), tuple(files))


def _write(made: Report, choices: list[Choice], out: Path) -> list[Path]:
    makers = {
        '.md': lambda: for_markdown(made),
        '.csv': lambda: for_csv(made),
        '.html': lambda: make_page(made, choices),
    }
    try:
        if out.suffix in makers:
            with whole_file(out) as file:
                file.write_text(makers[out.suffix](), 'utf-8')
            return [out]
        out.mkdir(parents=True, exist_ok=True)
        paths = [out / name for name in ('table.md', 'table.csv', 'report.html')]
        for path in paths:
            with whole_file(path) as file:
                file.write_text(makers[path.suffix](), 'utf-8')
        return paths + write_plots(made, out / 'figures')
    except OSError as error:
        raise UserError(f'cannot write {out}: {error.strerror}') from error
