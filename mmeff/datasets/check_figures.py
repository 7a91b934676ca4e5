"""Distributions of the boxes of a data set, as pictures."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmeff.datasets.check import Check
from mmeff.errors import UserError
from mmeff.whole_file import whole_file

COCO_SIZES = {'small': 32, 'large': 96}  # limits of COCO's area ranges, px
NUM_BINS = 50


def write_figures(check: Check, folder: str | Path) -> list[Path]:
    """Write `box_sizes.png` and `aspect_ratios.png`.

    Returns:
        The files; none when there is no box.

    Raises:
        UserError: The folder cannot be written.
    """
    if not len(check.boxes):
        return []
    width, height = check.boxes.T
    sizes, ratios = Figure((6.4, 4), layout='tight'), Figure((6.4, 4), layout='tight')
    axes = sizes.subplots()
    _draw(axes, np.sqrt(width) * np.sqrt(height), 'size (square root of the area) [px]')
    for name, limit in COCO_SIZES.items():
        axes.axvline(limit, color='0.4', linewidth=0.8, linestyle='--')
        beside = {'small': ('right', f'{name} '), 'large': ('left', f' {name}')}[name]
        axes.text(
            limit, axes.get_ylim()[1], beside[1], ha=beside[0], va='top', color='0.4'
        )
    axes = ratios.subplots()
    _draw(axes, width / height, 'width / height')
    axes.axvline(1, color='0.4', linewidth=0.8, linestyle='--')
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in (('box_sizes', sizes), ('aspect_ratios', ratios)):
            with whole_file(folder / f'{name}.png') as file:
                figure.savefig(file, dpi=120)
    except OSError as error:
        raise UserError(f'{folder}: cannot be written ({error})') from error
    return [folder / 'box_sizes.png', folder / 'aspect_ratios.png']


def _draw(axes: Axes, values: np.ndarray, label: str) -> None:
    """Histogram over a logarithmic axis."""
    low, high = values.min(), values.max()
    bins = np.geomspace(low / 1.01, high * 1.01, NUM_BINS + 1)
    axes.hist(values, bins=bins, color='#3b6ea5')
    axes.set_xscale('log', base=2)
    axes.xaxis.set_major_formatter('{x:g}')
    axes.set_xlabel(label)
    axes.set_ylabel('boxes')
    median = np.median(values)
    axes.set_title(f'{len(values):,} boxes, median {median:.3g}', fontsize='medium')
