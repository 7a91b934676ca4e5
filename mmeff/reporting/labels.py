"""Put names beside points so that they cover each other as little as possible."""

from collections.abc import Sequence

Box = tuple[float, float, float, float]  # left, bottom, right, top

# Where a label's near corner or side lies, seen from its point, and how it is aligned:
# (x, y, horizontal, vertical) with the signs of x and y; the first that is free is taken.
PLACES = (
    (1, 0, 'left', 'center'),
    (-1, 0, 'right', 'center'),
    (0, 1, 'center', 'bottom'),
    (0, -1, 'center', 'top'),
    (0.7, 0.7, 'left', 'bottom'),
    (0.7, -0.7, 'left', 'top'),
    (-0.7, 0.7, 'right', 'bottom'),
    (-0.7, -0.7, 'right', 'top'),
)
SHIFT = {'left': 0, 'bottom': 0, 'center': -0.5, 'right': -1, 'top': -1}


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    distance: float,
) -> list[tuple[float, float]]:
    """Choose a place for each label, in order: the first ones have the best places.

    Args:
        points: (x, y) of each point, y upwards.
        sizes: (width, height) of each label.
        frame: What no label should leave.
        distance: From the centre of a point to its label.

    Returns:
        (left, bottom) of each label.
    """
    dots = [(x - distance, y - distance, x + distance, y + distance) for x, y in points]
    taken: list[Box] = []
    for index, (point, size) in enumerate(zip(points, sizes, strict=True)):
        others = dots[:index] + dots[index + 1 :] + taken
        boxes = [
            _box(point, size, place, distance * reach)
            for reach in (1.2, 2.5)
            for place in PLACES
        ]

        def cost(box: Box, others=others, size=size) -> float:
            outside = size[0] * size[1] - overlap(box, frame)
            return sum(overlap(box, other) for other in others) + 10 * outside

        taken.append(min(boxes, key=cost))
    return [box[:2] for box in taken]


def _box(point, size, place, distance: float) -> Box:
    x, y, horizontal, vertical = place
    left = point[0] + x * distance + SHIFT[horizontal] * size[0]
    bottom = point[1] + y * distance + SHIFT[vertical] * size[1]
    return left, bottom, left + size[0], bottom + size[1]
