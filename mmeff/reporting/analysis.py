"""Tables and figures of an analysis (`apis/analyze.py` says what its content is)."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.table import Table
from rich.text import Text

from mmeff.reporting.plots import FRONT, INK, OTHER, STYLE
from mmeff.reporting.rows import name_text
from mmeff.reporting.table import DASH
from mmeff.whole_file import whole_file

COLUMNS = (
    ('objects', 'objects', 'd'),
    ('detections', 'detections', 'd'),
    ('ap', 'AP', '.3f'),
    ('ap50', 'AP50', '.3f'),
    ('f1', 'best F1', '.3f'),
    ('best_score', 'at score', '.2f'),
    ('precision', 'precision', '.3f'),
    ('recall', 'recall', '.3f'),
)
FEW_CLASSES = 10  # have names and colours of their own in a figure
MAX_CELLS = 25  # classes a side in which a matrix has numbers in its cells


def class_lines(content: dict) -> list[list[str]]:
    """The table of the classes as texts, header first, all of them together last."""
    lines = [['class', *(title for _, title, _ in COLUMNS)]]
    for row in [*content['classes'], content['all']]:
        values = [(row[key], form) for key, _, form in COLUMNS]
        texts = [DASH if value is None else f'{value:{form}}' for value, form in values]
        lines.append([name_text(row['name']), *texts])
    return lines


def error_lines(content: dict) -> list[list[str]]:
    """The table of errors as texts, header first."""
    counts = content['errors']['counts']
    lines = [['error', 'count', 'AP50 lost']]
    for name, cost in content['errors']['costs_ap50'].items():
        lines.append([name, str(counts.get(name, '')), f'{cost:.3f}'])
    return lines


def terminal_table(lines: Sequence[Sequence[str]]) -> Table:
    """A table for rich."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, title in enumerate(lines[0]):
        table.add_column(title, justify='right' if number else 'left')
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    return table


def write_figures(content: dict, folder: Path) -> list[Path]:
    """Write precision_recall.png, f1.png, confusion.png and errors.png."""
    curves = content['curves']
    drawn = {
        'precision_recall': lambda: _draw_curves(
            curves, 'recall', 'precision', 'Precision against recall, IoU 0.5'
        ),
        'f1': lambda: _draw_curves(curves, 'score', 'f1', 'F1 against score, IoU 0.5'),
        'confusion': lambda: _draw_confusion(content),
        'errors': lambda: _draw_errors(content['errors']),
    }
    paths = []
    with matplotlib.rc_context({**STYLE, 'text.parse_math': False}):
        for name, draw in drawn.items():
            paths.append(folder / f'{name}.png')
            with whole_file(paths[-1]) as file:
                draw().savefig(file, dpi=120)
    return paths


def _draw_curves(curves: dict, x: str, y: str, title: str) -> Figure:
    figure = Figure(figsize=(6.4, 4.4), layout='constrained')
    axes = figure.add_subplot()
    few = len(curves['classes']) <= FEW_CLASSES
    for name, values in zip(curves['classes'], curves[y], strict=True):
        style = {'label': name_text(name)} if few else {'color': OTHER, 'alpha': 0.5}
        axes.plot(curves[x], values, linewidth=1, **style)
    mean = np.mean(curves[y], 0)
    axes.plot(curves[x], mean, color=INK if few else FRONT, linewidth=2.2, label='mean')
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x, ylabel=y)
    axes.set_title(title, loc='left', fontweight='bold')
    axes.legend(fontsize=7.5)
    return figure


def _draw_confusion(content: dict) -> Figure:
    matrix = np.array(content['confusion']['matrix'])
    names = [*(name_text(row['name']) for row in content['classes']), 'background']
    side = min(3 + 0.32 * len(names), 18)
    figure = Figure(figsize=(side + 0.8, side), layout='constrained')
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap='Blues')
    size = 7.5 if len(names) <= MAX_CELLS else 4
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.grid(False)
    if len(names) <= MAX_CELLS:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = 'white' if shares[row, column] > 0.5 else INK
                place = {'ha': 'center', 'va': 'center', 'fontsize': 6.5}
                axes.text(column, row, str(count), color=colour, **place)
    axes.set(xlabel='found', ylabel='annotated')
    score = content['confusion']['score']
    axes.set_title(f'Score from {score:.2f}, IoU from 0.5', loc='left')
    figure.colorbar(image, ax=axes, label='share of the row', shrink=0.6)
    return figure


def _draw_errors(errors: dict) -> Figure:
    figure = Figure(figsize=(6.4, 3.4), layout='constrained')
    axes = figure.add_subplot()
    names, costs = zip(*errors['costs_ap50'].items(), strict=True)
    axes.barh(range(len(names)), costs, color=FRONT)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    for place, (name, cost) in enumerate(zip(names, costs, strict=True)):
        count = errors['counts'].get(name)
        text = f' {cost:.3f}' if count is None else f' {cost:.3f} ({count})'
        axes.text(max(cost, 0), place, text, va='center', fontsize=7.5, color=INK)
    axes.set_axisbelow(True)
    axes.margins(x=0.2)
    axes.set_xlabel('AP50 lost, each kind alone (count)')
    axes.set_title('Errors, as in TIDE', loc='left', fontweight='bold')
    return figure
