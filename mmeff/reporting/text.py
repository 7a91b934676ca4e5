"""Tables as Markdown and as CSV; names of models cannot do harm in either."""

import csv
import io
import re

from mmeff.reporting.columns import COLUMNS
from mmeff.reporting.rows import Report, clean, input_text
from mmeff.reporting.table import make_tables


def for_markdown(report: Report) -> str:
    """Tables with footnotes; names cannot break a table or bring HTML with them."""
    parts = []
    for table in make_tables(report):
        lines = [
            _markdown_line(table.header),
            _markdown_line(['---', *['---:'] * (len(table.header) - 1)]),
        ]
        for row, cells in table.lines:
            texts = [
                f'{cell.text} <sup>{cell.note}</sup>'
                if cell.note
                else escape_markdown(cell.text)
                for cell in cells
            ]
            lines.append(_markdown_line([escape_markdown(row.name), *texts]))
        notes = [
            f'<sup>{number}</sup> {escape_markdown(note)}  '
            for number, note in enumerate(table.notes, 1)
        ]
        parts.append('\n'.join([f'## {escape_markdown(table.title)}', '', *lines]))
        parts += ['\n'.join(notes)] if notes else []
    return '\n\n'.join(parts) + '\n'


def _markdown_line(cells) -> str:
    return f'| {" | ".join(cells)} |'


def escape_markdown(text: str) -> str:
    """Plain text that reads the same after rendering.

    >>> escape_markdown('a|b <i> x_y')
    'a\\\\|b &lt;i&gt; x_y'
    """
    text = text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
    text = re.sub(r'([\\`*\[\]|~#])', r'\\\1', text)
    # inside a word an underscore means nothing
    return re.sub(r'(?<!\w)_|_(?!\w)', r'\\_', text)


def for_csv(report: Report) -> str:
    """One line a row, all of COLUMNS, numbers in full precision, empty where none is."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    fixed = ('model', 'config', 'checkpoint_sha256', 'device', 'precision')
    fixed += ('backend', 'batch')
    writer.writerow([*fixed, 'input', *(column.title for column in COLUMNS), 'files'])
    for row in report.rows:
        setup = row.setup
        texts = [row.name, row.config, row.weights]
        texts += [setup.device, setup.precision] if setup else [None, None]
        texts.append(row.backend)
        writer.writerow(
            [
                *map(_csv_text, texts),
                setup.batch if setup else None,
                _csv_text(input_text(row)),
                *(column.value(row) for column in COLUMNS),
                _csv_text('; '.join(row.files)),
            ]
        )
    return file.getvalue()


def _csv_text(text: str | None) -> str:
    """Text that no spreadsheet takes for a formula, which may follow a blank as well."""
    text = clean(text or '')
    return f"'{text}" if text.lstrip().startswith(('=', '+', '-', '@')) else text
