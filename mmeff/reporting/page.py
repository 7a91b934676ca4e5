"""One HTML page that needs nothing but itself: no network, no library, no font.

The table is plain HTML, written here. `page/*.js` makes it sortable and draws the charts
from a JSON block. A policy in the page lets the browser run this one script and apply
this one style sheet, known by their hashes, and fetch nothing, so that no text from a
result file can become code.
"""

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from string import Template

from mmeff.reporting.choose import Choice
from mmeff.reporting.columns import COLUMNS, main_accuracy, with_data
from mmeff.reporting.details import describe, short
from mmeff.reporting.rows import Report, Row, clean
from mmeff.reporting.table import NO_SETUP, Cell, make_table
from mmeff.version import __version__

FEW_REMARKS = 6  # are shown, more are folded away
SCRIPTS = ('dom', 'axes', 'table', 'scatter', 'roofline', 'model', 'main')


def make_page(report: Report, choices: list[Choice] | None = None) -> str:
    """The page as text, UTF-8 when written.

    Args:
        report: What was measured.
        choices: What `choose` returned, if there was a target.
    """
    sources = files('mmeff.reporting').joinpath('page')
    read = {path.name: path.read_text('utf-8') for path in sources.iterdir()}
    style = read['page.css']
    body = '\n'.join(read[f'{name}.js'] for name in SCRIPTS)
    script = f"'use strict';\n(() => {{\n{body}\n}})();"
    table, notes = _table(report)
    return Template(read['page.html']).substitute(
        script=script,
        script_hash=_hash(script),
        style=style,
        style_hash=_hash(style),
        title=escape(_title(report)),
        lead=escape(_lead(report)),
        warnings=_warnings(report),
        choices=_choices(choices or []),
        table=table,
        notes=notes,
        data=_for_script(_data(report)),
        version=escape(__version__),
        footer=escape(
            f'Made by mmeff {__version__}. Latency is of detect: from an image in memory '
            'to boxes, with NMS. GMACs and memory access are of one image through the '
            'network, by the formulas of the ShuffleNetV2 and VoVNet papers.'
        ),
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f'sha256-{base64.b64encode(digest).decode()}'


def _for_script(data: dict) -> str:
    """JSON that cannot end its script element, whatever the strings say."""
    text = json.dumps(data, allow_nan=False, separators=(',', ':'))
    for character in '<>&':
        text = text.replace(character, f'\\u{ord(character):04x}')
    return text


def _title(report: Report) -> str:
    count = len({row.config for row in report.rows})
    models = f'{count} detector' if count == 1 else f'{count} detectors'
    if any(main_accuracy([row]) for row in report.rows):
        return f'{models}: accuracy against measured cost'
    return f'{models}: measured cost'


def _lead(report: Report) -> str:
    """The devices, and what all measurements have in common."""
    setups = [setup for setup, _ in report.groups() if setup]
    if not setups:
        return 'No benchmark is among the files.'
    devices = ' and '.join(sorted({setup.device for setup in setups}))
    on = str(setups[0]) if len(setups) == 1 else devices
    stamps = [
        str(row.benchmark['environment'].get('timestamp', ''))[:10]
        for row in report.rows
        if row.benchmark
    ]
    return clean(f'{on}. {max(stamps)}')


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ''
    lines = ''.join(f'<li>{escape(line)}</li>' for line in report.warnings)
    count = len(report.warnings)
    remarks = '1 remark' if count == 1 else f'{count} remarks'
    shown = ' open' if count <= FEW_REMARKS else ''
    return (
        f'<details class="box"{shown}><summary>{remarks} on these results</summary>'
        f'<ul>{lines}</ul></details>'
    )


def _choices(choices: list[Choice]) -> str:
    blocks = []
    for choice in choices:
        objective = choice.by_objective[0].row.name
        within = choice.by_accuracy[0].row.name if choice.by_accuracy else 'no model'
        summary = (
            f'{choice.target_ms:.4g} ms on {choice.setup}: {within} within the target, '
            f'{objective} by MnasNet\u2019s objective'
        )
        lines = ''.join(f'<p>{escape(text)}</p>' for text in choice.sentences())
        blocks.append(
            f'<details{" open" if len(choices) == 1 else ""}>'
            f'<summary>{escape(summary)}</summary>{lines}</details>'
        )
    return f'<div class="box choice">{"".join(blocks)}</div>' if blocks else ''


def _table(report: Report) -> tuple[str, str]:
    """The table with everything, and the list of its footnotes."""
    rows = list(report.rows)
    table = make_table(rows)
    several = len({row.setup for row in rows}) > 1
    best = {column.title: column.best for column in COLUMNS}
    head = ''.join(_head(title, best.get(title)) for title in table.header)
    lines = []
    for index, (row, cells) in enumerate(table.lines):
        setup = (
            f'<small>{escape(str(row.setup or NO_SETUP))}</small>' if several else ''
        )
        texts = [_cell(cells[0], ' class="text"'), *map(_cell, cells[1:])]
        lines.append(
            f'<tr data-row="{index}"><th scope="row"><span>{escape(row.name)}</span>'
            f'{setup}</th>{"".join(texts)}</tr>'
        )
    notes = ''.join(f'<li>{escape(note)}</li>' for note in table.notes)
    return (
        f'<table id="measurements"><thead><tr>{head}</tr></thead>\n'
        f'<tbody>\n{chr(10).join(lines)}\n</tbody></table>',
        f'<ol class="footnotes">{notes}</ol>' if notes else '',
    )


def _head(title: str, best: str | None) -> str:
    name, _, unit = title.partition(' (')
    unit = f'<small>{escape(unit.rstrip(")"))}</small>' if unit else ''
    side = f' data-best="{best}"' if best else ' class="text"'
    return f'<th scope="col"{side}>{escape(name)}{unit}</th>'


def _cell(cell: Cell, attributes: str = '') -> str:
    if cell.note:
        text = f'<span class="missing">{cell.text}<sup>{cell.note}</sup></span>'
        return f'<td{attributes}>{text}</td>'
    value = '' if cell.value is None else f' data-v="{cell.value!r}"'
    return f'<td{attributes}{value}>{escape(cell.text)}</td>'


def _data(report: Report) -> dict:
    """What the script needs; axes are those with numbers."""
    rows = list(report.rows)
    axes = with_data(rows)
    setups = [setup for setup, _ in report.groups() if setup]
    described = []
    for row in rows:
        entry = describe(row)
        entry['values'] = [short(column.value(row)) for column in axes]
        entry['setup'] = setups.index(row.setup) if row.setup else None
        described.append(entry)
    start = _first_setup(report)
    x, y = _first_axes(rows, axes)
    return {
        'axes': [
            {
                'title': column.title,
                'short': column.short,
                'best': column.best,
                'evaluated': column.evaluated,
            }
            for column in axes
        ],
        'setups': [str(setup) for setup in setups],
        'rows': described,
        'setup': start,
        'start': next((i for i, r in enumerate(described) if r['setup'] == start), 0),
        'x': x,
        'y': y,
    }


def _first_setup(report: Report) -> int:
    """The setup with most models of known accuracy, then with most models."""
    groups = [rows for setup, rows in report.groups() if setup]

    def weight(index: int) -> tuple[int, int]:
        rows = groups[index]
        return sum(row.evaluated for row in rows), len(rows)

    return max(range(len(groups)), key=weight, default=0)


def _first_axes(rows: list[Row], axes: list) -> tuple[int, int]:
    """Accuracy against FPS, or without accuracy latency against GMACs."""
    accuracy = main_accuracy(rows)
    wanted = ('fps', accuracy.key) if accuracy else ('macs_g', 'latency_detect_ms.mean')
    keys = [column.key for column in axes]
    x, y = (keys.index(key) if key in keys else 0 for key in wanted)
    return x, y
