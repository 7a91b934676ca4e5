"""Draw the pictures of the generated shapes data and say what lies where.

Coordinates are those of COCO: pixel (0, 0) spans 0..1 in both directions, so a box
(x1, y1, x2, y2) covers the pixels x1 .. x2 - 1.
"""

from dataclasses import dataclass

import cv2
import numpy as np

CLASSES = ('circle', 'rectangle', 'triangle')
MAX_OBJECTS = 5
# Diameter of an object, as a part of the shorter image side.
SIZE_RANGE = (0.18, 0.55)
# Largest part of the smaller of two boxes that may lie inside the other one, so
# that a shape drawn later never hides most of an earlier one.
MAX_OVERLAP = 0.2
SUPERSAMPLING = 4


@dataclass(frozen=True)
class Shape:
    """One object: class index, polygon (N, 2) in pixels, box (x1, y1, x2, y2)."""

    label: int
    polygon: np.ndarray
    box: tuple[int, int, int, int]

    @property
    def area(self) -> float:
        """Area of the polygon in square pixels."""
        x, y = self.polygon.T
        return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def draw_image(
    split: str, index: int, image_size: tuple[int, int], seed: int
) -> tuple[np.ndarray, list[Shape]]:
    """Draw one image; returns it as (H, W, 3) uint8 BGR with its 1 to 5 shapes."""
    rng = np.random.default_rng((seed, ('train', 'val').index(split), index))
    image = _background(rng, *image_size)
    mean_colour = image.mean(axis=(0, 1))
    shapes = _place_shapes(rng, *image_size)
    for shape in shapes:
        x1, y1, x2, y2 = shape.box
        window = slice(y1 - 1, y2 + 1), slice(x1 - 1, x2 + 1)
        cover = _coverage(shape.polygon, *image_size)[window][..., None]
        colour = _contrasting_colour(rng, mean_colour)
        image[window] = image[window] * (1 - cover) + colour * cover
    image += rng.normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8), shapes


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Clouds, a gradient or stripes between two colours, (H, W, 3) float 0-255."""
    kind = rng.integers(3)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width]
    across = (x * np.cos(angle) + y * np.sin(angle)) / max(height, width)
    if kind == 0:
        grid = rng.uniform(0, 1, (6, 6))
        blend = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    elif kind == 1:
        blend = (across - across.min()) / np.ptp(across)
    else:
        blend = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(3, 9) * across)
    base = rng.uniform(50, 205, 3)
    other = base + rng.uniform(-50, 50, 3)
    return base + blend.clip(0, 1)[..., None] * (other - base)


def _contrasting_colour(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    """A random colour at least 150 grey levels (sum over channels) from `mean`."""
    while True:
        colour = rng.uniform(0, 255, 3)
        if abs(colour - mean).sum() >= 150:
            return colour


def _place_shapes(rng: np.random.Generator, height: int, width: int) -> list[Shape]:
    """Up to the drawn number of shapes that overlap each other only a little."""
    wanted = rng.integers(1, MAX_OBJECTS + 1)
    shapes: list[Shape] = []
    for _ in range(20 * wanted):
        shape = _random_shape(rng, height, width)
        if all(overlap(shape.box, other.box) <= MAX_OVERLAP for other in shapes):
            shapes.append(shape)
        if len(shapes) == wanted:
            break
    return shapes


def _random_shape(rng: np.random.Generator, height: int, width: int) -> Shape:
    """One shape wholly inside the image, at least a pixel from its border."""
    label = int(rng.integers(len(CLASSES)))
    outline = _outline(rng, CLASSES[label])
    diameter = rng.uniform(*SIZE_RANGE) * min(height, width)
    outline = outline * diameter / 2
    low, high = outline.min(0), outline.max(0)
    # Whole-number boxes make the COCO and the VOC files agree exactly; stretching
    # the outline to them moves a vertex by less than a pixel.
    extent = np.maximum(np.rint(high - low), 4)
    corner = rng.integers(1, np.array([width, height]) - extent.astype(int))
    polygon = np.round((outline - low) / (high - low) * extent + corner, 2)
    x1, y1 = (int(v) for v in corner)
    x2, y2 = (int(v) for v in corner + extent)
    return Shape(label, polygon, (x1, y1, x2, y2))


def _outline(rng: np.random.Generator, name: str) -> np.ndarray:
    """Vertices (N, 2) of a shape of about unit radius, turned at random."""
    turn = rng.uniform(0, 2 * np.pi)
    if name == 'circle':
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    elif name == 'rectangle':
        half = rng.uniform(np.pi / 8, np.pi / 4)  # sides 1 : 1 to 1 : 2.4
        angles = turn + np.array([half, np.pi - half, np.pi + half, -half])
    else:
        angles = turn + np.pi * np.array([0, 2, 4]) / 3 + rng.uniform(-0.25, 0.25, 3)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def overlap(box: tuple, other: tuple) -> float:
    """Intersection of two boxes, divided by the area of the smaller one."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return max(width, 0) * max(height, 0) / smaller


def _coverage(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """Part of each pixel that the polygon covers, (H, W) float 0-1."""
    fine = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    # Pixel (0, 0) spans 0..1 in annotation coordinates; OpenCV means its centre.
    vertices = np.rint(polygon * SUPERSAMPLING - 0.5).astype(np.int32)
    cv2.fillPoly(fine, [vertices], 255)
    small = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.float64) / 255
