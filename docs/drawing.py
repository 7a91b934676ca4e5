"""Block diagrams: boxes on a grid and arrows between them, written as SVG.

One cell of the grid is `CELL` points wide and high; x grows to the right, y downward.
Letters are drawn as outlines, so that a picture needs no font, and narrow enough for a
telephone: a picture should have at most eight cells in width.
"""

from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

CELL = 42.0
HEIGHT = 0.6  # of a box with one line of text
LINE = 0.32  # of each further line
MARGIN = 0.2
INK, FAINT = '#3a3f45', '#b4bac2'
COLOURS = {
    'conv': '#cfe2f7',
    'depthwise': '#cdeed8',
    'pool': '#fbeeb8',
    'gate': '#e5d7f5',
    'join': '#fddcc2',
    'data': '#ffffff',
}


@dataclass(frozen=True)
class Box:
    """A box, by its centre and size in cells."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> tuple[float, float]:
        return self.x, self.y - self.height / 2

    @property
    def bottom(self) -> tuple[float, float]:
        return self.x, self.y + self.height / 2

    @property
    def left(self) -> tuple[float, float]:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y


class Drawing:
    """A picture `width` cells wide and as high as what is drawn in it."""

    def __init__(self, width: float = 8.0) -> None:
        self.width, self.height = width, 0.0
        self.figure = Figure()
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.axis('off')

    def box(
        self, x: float, y: float, text: str, kind: str = 'conv', width: float = 2.4
    ) -> Box:
        """A box with its centre at (x, y); `kind` is a key of `COLOURS`."""
        box = Box(x, y, width, HEIGHT + LINE * text.count('\n'))
        patch = FancyBboxPatch(
            (box.left[0], box.top[1]),
            box.width,
            box.height,
            boxstyle='round,pad=0,rounding_size=0.12',
            facecolor=COLOURS[kind],
            edgecolor=FAINT if kind == 'data' else INK,
            linewidth=0.9,
        )
        self.axes.add_patch(patch)
        self.text(x, y, text)
        self.height = max(self.height, box.bottom[1] + MARGIN)
        return box

    def column(
        self, x: float, y: float, rows: list[tuple[str, str]], width: float = 2.4
    ) -> list[Box]:
        """Boxes of (text, kind) below one another from y on, joined by arrows."""
        boxes = []
        for text, kind in rows:
            half = (HEIGHT + LINE * text.count('\n')) / 2
            boxes.append(self.box(x, y + half, text, kind, width))
            y += 2 * half + 0.4
            if len(boxes) > 1:
                self.arrow(boxes[-2].bottom, boxes[-1].top)
        return boxes

    def arrow(self, *points: tuple[float, float]) -> None:
        """A line through the points with a head at the last."""
        self.line(*points)
        self.axes.annotate(
            '',
            xy=points[-1],
            xytext=points[-2],
            arrowprops={
                'arrowstyle': '-|>,head_width=0.18,head_length=0.32',
                'color': INK,
                'linewidth': 0.9,
                'shrinkA': 0,
                'shrinkB': 0,
            },
        )

    def line(self, *points: tuple[float, float]) -> None:
        self.axes.plot(*zip(*points, strict=True), color=INK, linewidth=0.9)

    def around(self, start: Box, end: Box, x: float) -> None:
        """An arrow from the side of `start` along the vertical at x to that of `end`."""
        side = 'left' if x < start.x else 'right'
        first, last = getattr(start, side), getattr(end, side)
        self.arrow(first, (x, first[1]), (x, last[1]), last)

    def text(
        self, x: float, y: float, text: str, size: float = 8.5, align: str = 'center'
    ) -> None:
        self.axes.text(
            x,
            y,
            text,
            ha=align,
            va='center',
            fontsize=size,
            color=INK,
            linespacing=1.15,
        )

    def title(self, x: float, text: str) -> None:
        self.axes.text(
            x,
            0.35,
            text,
            ha='center',
            va='center',
            fontsize=9,
            color=INK,
            weight='bold',
        )

    def save(self, path: Path) -> None:
        """Write the picture as SVG, without a date in it."""
        self.axes.set_xlim(0, self.width)
        self.axes.set_ylim(self.height, 0)
        self.figure.set_size_inches(self.width * CELL / 72, self.height * CELL / 72)
        with rc_context({'svg.hashsalt': 'mmeff'}):  # the same picture, the same file
            self.figure.savefig(path, format='svg', metadata={'Date': None})
