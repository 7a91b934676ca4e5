"""Tables for the terminal, by rich."""

from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from mmeff.reporting.columns import BY_KEY
from mmeff.reporting.rows import Report
from mmeff.reporting.table import Table, make_tables

# Left out of a narrow terminal, the first ones first
DISPENSABLE = tuple(
    BY_KEY[key].title
    for key in (
        'latency_pipeline_ms.mean',
        'speedup_pipeline',
        'latency_api_ms.mean',
        'roofline_share',
        'latency_detect_ms.median',
        'latency_detect_ms.p90',
        'coco/bbox_mAP_50',
        'activations_m',
        'peak_rss_mb',
        'peak_allocated_mb',
        'latency_detect_ms.p99',
        'params_m',
        'gflops_per_s',
        'energy_j_per_img',
        'memory_access_m',
        'macs_g',
    )
)


def for_terminal(report: Report, width: int) -> Group:
    """Tables and footnotes; columns that do not fit are left out, and that is said.

    Args:
        report: What to show.
        width: Of the terminal in characters.
    """
    parts = []
    for table in make_tables(report):
        shown, left_out = _fit(table, width)
        notes = [f'[{number}] {note}' for number, note in enumerate(table.notes, 1)]
        if left_out:
            notes.append(
                f'too narrow for {", ".join(left_out)}: --format markdown and --out '
                'have them'
            )
        parts += [shown, *(Text(note, style='dim') for note in notes), Text()]
    return Group(*parts)


def _fit(table: Table, width: int) -> tuple[RichTable, list[str]]:
    """The table with all columns that fit, and the titles of the others."""
    console = Console(width=10_000)
    left_out: list[str] = []
    shown = _draw(table, left_out)
    for title in DISPENSABLE:
        needed = Measurement.get(console, console.options, shown).maximum
        if needed <= width:
            break
        if title in table.header:
            left_out.append(title)
            shown = _draw(table, left_out)
    return shown, left_out


def _draw(table: Table, left_out: list[str]) -> RichTable:
    shown = RichTable(
        title=escape(table.title),
        title_justify='left',
        title_style='bold',
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown.add_column('model', overflow='fold', vertical='bottom')
    kept = [i for i, title in enumerate(table.header[1:]) if title not in left_out]
    for index in kept:
        title = table.header[index + 1].replace(' ', '\n')
        shown.add_column(title, justify='right', no_wrap=True, vertical='bottom')
    for row, cells in table.lines:
        texts = [
            f'{cells[i].text} [{cells[i].note}]' if cells[i].note else cells[i].text
            for i in kept
        ]
        shown.add_row(Text(row.name), *map(Text, texts))
    return shown
