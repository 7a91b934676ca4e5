"""The cells of the tables, one table for each setup."""

from collections.abc import Callable
from dataclasses import dataclass

from mmeff.reporting.columns import COLUMNS, with_data
from mmeff.reporting.rows import Report, Row, clean, input_text

DASH = '\u2013'  # an en dash in place of a number nobody has
NO_SETUP = 'Accuracy without a benchmark'


@dataclass(frozen=True)
class Cell:
    """What a table shows.

    Attributes:
        text: The number in the digits of its column; `DASH` if there is none.
        value: The number itself.
        note: Number of the footnote that says why there is none.
    """

    text: str
    value: float | None = None
    note: int | None = None


@dataclass(frozen=True)
class Table:
    """Rows that may be compared.

    Attributes:
        title: The setup.
        header: Titles with units, 'model' and 'input' first.
        lines: (row, cells) for each row, a cell for each title after 'model'.
        notes: Footnotes; the first is number 1.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[Row, tuple[Cell, ...]], ...]
    notes: tuple[str, ...]


def make_table(rows: list[Row], title: str = '') -> Table:
    """Lay out rows in the columns of which any of them has a number."""
    columns = with_data(rows)
    notes: dict[str, int] = {}

    def cell(row, text, value, reason: Callable[[Row], str]) -> Cell:
        if text is not None:
            return Cell(text, value)
        note = notes.setdefault(clean(reason(row)), len(notes) + 1)
        return Cell(DASH, None, note)

    lines = []
    for row in rows:
        cells = [cell(row, input_text(row), None, COLUMNS[0].reason)]
        cells += [cell(row, c.text(row), c.value(row), c.reason) for c in columns]
        lines.append((row, tuple(cells)))
    header = ('model', 'input', *(column.title for column in columns))
    return Table(title, header, tuple(lines), tuple(notes))


def make_tables(report: Report) -> list[Table]:
    """One table for each setup."""
    return [
        make_table(rows, NO_SETUP if setup is None else str(setup))
        for setup, rows in report.groups()
    ]
