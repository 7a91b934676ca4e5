"""Figures like those of the VoVNet paper (Figures 3 and 4): accuracy against cost.

One figure shows one setup, because speeds of several cannot be compared.
"""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from mmeff.reporting.columns import BY_KEY, LATENCY, Column, main_accuracy
from mmeff.reporting.compare import pareto_front, rank_correlation
from mmeff.reporting.labels import place_labels
from mmeff.reporting.rows import Report, Row, Setup
from mmeff.whole_file import whole_file

# Accuracy against these, with a Pareto front,
COSTS = tuple(BY_KEY[key] for key in ('fps', 'gflops_per_s', 'energy_j_per_img'))
# and latency against these, with a rank correlation: do they tell the speed?
PREDICTORS = tuple(BY_KEY[key] for key in ('macs_g', 'memory_access_m'))
FORMATS = ('png', 'svg')
# Okabe and Ito's blue and a grey: told apart by lightness too
FRONT, OTHER, INK = '#0072B2', '#9A9A9A', '#333333'
STYLE = {
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#777777',
    'axes.grid': True,
    'grid.color': '#E4E4E4',
    'grid.linewidth': 0.6,
    'svg.hashsalt': 'mmeff',  # the same file for the same numbers
}


def write_plots(report: Report, folder: str | Path) -> list[Path]:
    """Write all figures that two models or more have the numbers for.

    Returns:
        PNG and SVG files, named ``<y>_<x>__<setup>``.
    """
    written = []
    for setup, rows in report.groups():
        if setup is None:
            continue
        accuracy = main_accuracy(rows)
        pairs = [(x, accuracy) for x in COSTS] if accuracy else []
        for x, y in [*pairs, *((x, LATENCY) for x in PREDICTORS)]:
            if figure := draw(rows, setup, x, y):
                name = f'{_slug(y)}_{_slug(x)}__{setup.slug}'
                written += _write(figure, Path(folder), name)
    return written


def draw(rows: list[Row], setup: Setup, x: Column, y: Column) -> Figure | None:
    """A point for each model that has both numbers; None for fewer than two."""
    rows = [r for r in rows if x.value(r) is not None and y.value(r) is not None]
    if len(rows) < 2:
        return None
    points = [(x.value(row), y.value(row)) for row in rows]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.4), dpi=150, layout='constrained')
        axes = figure.add_subplot()
        if y.evaluated:
            front = pareto_front(points, (x.best, y.best))
            _draw_front(axes, [points[index] for index in front])
            remark = '; line: Pareto front'
        else:
            front, rho = [], rank_correlation(*zip(*points, strict=True))
            remark = '' if rho is None else f'; rank correlation {rho:.2f}'
        _draw_points(axes, points, front)
        _draw_texts(axes, setup, x, y, f'{len(rows)} models{remark}')
        _draw_names(figure, axes, points, [row.name for row in rows], front)
    return figure


def _draw_front(axes, points: list[tuple[float, float]]) -> None:
    axes.plot(*zip(*points, strict=True), color=FRONT, linewidth=1.2, alpha=0.7)


def _draw_points(axes, points, front: list[int]) -> None:
    for index, point in enumerate(points):
        colour = FRONT if index in front or not front else OTHER
        axes.scatter(*point, s=34, color=colour, edgecolor='white', zorder=3)
    axes.margins(0.16, 0.12)
    if axes.get_xlim()[0] < 0:  # no model is there
        axes.set_xlim(left=0)


def _draw_texts(axes, setup: Setup, x: Column, y: Column, remark: str) -> None:
    axes.set_axisbelow(True)
    for column, set_label in ((x, axes.set_xlabel), (y, axes.set_ylabel)):
        side = 'higher' if column.best == 'high' else 'lower'
        set_label(f'{column.title}, {side} is better', color=INK)
    axes.set_title(
        f'{y.short} against {x.short}', loc='left', fontweight='bold', pad=20
    )
    axes.text(
        0,
        1.02,
        f'{setup}. {remark}',
        transform=axes.transAxes,
        fontsize=7.5,
        color='#666666',
        parse_math=False,
        va='bottom',
    )


def _draw_names(figure, axes, points, names: list[str], front: list[int]) -> None:
    """Names beside points, those of the front first."""
    figure.draw_without_rendering()  # sizes in pixels are known only after it
    figure.set_layout_engine('none')
    order = sorted(range(len(names)), key=lambda index: index not in front)
    texts = [
        axes.text(
            *points[index],
            names[index],
            fontsize=7.5,
            color=INK if index in front or not front else '#777777',
            parse_math=False,
            in_layout=False,
            path_effects=[withStroke(linewidth=2, foreground='white')],
        )
        for index in order
    ]
    boxes = [text.get_window_extent() for text in texts]
    places = place_labels(
        [tuple(axes.transData.transform(points[index])) for index in order],
        [(box.width, box.height) for box in boxes],
        axes.get_window_extent().extents,
        distance=figure.dpi * 0.05,
    )
    for text, place in zip(texts, places, strict=True):
        text.set_position(axes.transData.inverted().transform(place))
        text.set_verticalalignment('bottom')


def _slug(column: Column) -> str:
    return column.short.lower().replace('/', '-per-').replace(' ', '-')


def _write(figure: Figure, folder: Path, name: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f'{name}.{suffix}' for suffix in FORMATS]
    with matplotlib.rc_context(STYLE):
        for path in paths:
            metadata = {'Date': None} if path.suffix == '.svg' else {}
            with whole_file(path) as file:
                figure.savefig(file, metadata=metadata)
    return paths
