"""Pictures of the experiments, drawn without a display."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmeff.errors import UserError
from mmeff.guidelines.aggregation import AggregationMap
from mmeff.guidelines.files import whole_file

MEASURED, PAPER = '#1f77b4', '#c7c7c7'


def draw_guidelines(guidelines: Sequence[dict], device: str) -> Figure:
    """Relative speeds of all nets, measured and in the paper; a row for each guideline.

    Args:
        guidelines: As in the result of `mmeff.apis.guidelines.measure_guidelines`.
        device: Name of the device, for the legend.
    """
    columns = max(len(guideline['measurements']) for guideline in guidelines)
    figure = Figure((1.5 + 4 * columns, 2.4 * len(guidelines)), layout='constrained')
    axes = figure.subplots(len(guidelines), columns, squeeze=False)
    for row, guideline in zip(axes, guidelines, strict=True):
        for ax in row[len(guideline['measurements']) :]:
            ax.set_axis_off()
        for ax, measurement in zip(row, guideline['measurements'], strict=False):
            bars = _draw_speeds(ax, measurement['rows'])
            ax.set_title(f'{guideline["key"]}, width x{measurement["width"]}')
    figure.legend(bars, [device, 'paper'], loc='outside lower center', ncols=2)
    return figure


def _draw_speeds(ax: Axes, rows: Sequence[dict]) -> tuple[Artist, Artist]:
    """Two bars for each net; the line on the first one spans the quartiles."""
    y = np.arange(len(rows))
    speeds = np.array([row['relative_speed'] for row in rows])
    quartiles = np.array([row['relative_speed_quartiles'] for row in rows])
    errors = np.abs(quartiles.T - speeds)
    measured = ax.barh(y - 0.2, speeds, 0.4, color=MEASURED, xerr=errors)
    printed = [row['paper_relative_speed'] for row in rows]
    paper = ax.barh(y + 0.2, printed, 0.4, color=PAPER)
    ax.set_yticks(y, [row['name'] for row in rows])
    ax.invert_yaxis()
    ax.axvline(1, color='black', linewidth=0.8)
    ax.set_xlabel('relative speed')
    return measured, paper


def draw_aggregation(maps: Sequence[AggregationMap], title: str) -> Figure:
    """One panel for each map; the colour is the share of a target's greatest value."""
    cells = [max(len(m.sources), len(m.targets)) for m in maps]
    sides = [min(2.5 + 0.22 * count, 8) for count in cells]
    figure = Figure((sum(sides) + 1, max(sides) + 0.6), layout='constrained')
    axes = figure.subplots(1, len(maps), width_ratios=sides, squeeze=False)[0]
    for ax, panel in zip(axes, maps, strict=True):
        image = ax.imshow(panel.shares, vmin=0, vmax=1, cmap='viridis', aspect='auto')
        ax.set_title(panel.title)
        ax.set_xlabel('target')
        ax.set_ylabel('source')
        _label(ax.set_xticks, panel.targets, rotation=90)
        _label(ax.set_yticks, panel.sources)
    figure.colorbar(image, ax=axes, label="mean |weight|, of the target's greatest")
    figure.suptitle(title, fontsize='medium', wrap=True)
    return figure


def _label(set_ticks, names: Sequence[str], **style) -> None:
    """Label all of a few names, or the first, the last and some between."""
    step = -(-len(names) // 12)
    shown = sorted({*range(0, len(names) - step, step), len(names) - 1})
    set_ticks(shown, [names[i] for i in shown], **style)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a picture whole or not at all.

    Args:
        figure: What to write.
        path: Ends in a suffix that matplotlib knows, such as .png or .svg.

    Raises:
        UserError: An unknown suffix, or the file cannot be written.
    """
    check_picture_name(path)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, dpi=120)


def check_picture_name(path: str | Path) -> None:
    """Check that matplotlib can write a file of this name.

    Raises:
        UserError: Unknown suffix.
    """
    known = sorted(Figure().canvas.get_supported_filetypes())
    if Path(path).suffix.removeprefix('.').lower() not in known:
        raise UserError(f'{path}: expected a picture that ends in .{", .".join(known)}')
