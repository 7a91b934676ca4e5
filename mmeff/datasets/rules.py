"""What is wrong with a box, a polygon or a run-length mask.

Each function says it in words, or gives an empty string. Coordinates are pixels.
"""

import math
from collections.abc import Sequence

# Layouts disagree on where a pixel begins, so a box may reach this far over the border.
BORDER = 1.0
MAX_RUN_DIGITS = 8  # of 5 bits: a run of more pixels fits into no image
MAX_INT = 2**63  # beyond it neither NumPy nor COCO's tools can hold an id


def is_number(value: object) -> bool:
    """True for a finite int or float (booleans do not count)."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and -MAX_INT < value < MAX_INT


def number_in(value: object) -> float | None:
    """The number that a value is or, as text, stands for; None when there is none."""
    if isinstance(value, str) and len(value) < 40:
        try:
            value = float(value)
        except ValueError:
            return None
        value = int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value if is_number(value) else None


def corners(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """(x, y, width, height) -> (x1, y1, x2, y2)."""
    x, y, width, height = bbox
    return x, y, x + width, y + height


def box_fault(
    box: Sequence[float], size: tuple[float, float] | None
) -> tuple[str, str]:
    """The kind of the defect of a box (x1, y1, x2, y2) and the reason, or two ''.

    Args:
        box: Corners; may hold NaN or infinity.
        size: (width, height) of the image; None when it is not known.
    """
    x1, y1, x2, y2 = box
    if not all(map(math.isfinite, box)):
        return 'box of NaN', f'the box is {_listed(box)}; expected finite numbers'
    if x2 < x1 or y2 < y1:
        return 'inverted box', f'the box runs from {_point(x1, y1)} to {_point(x2, y2)}'
    if x2 == x1 or y2 == y1:
        return 'box without area', f'the box is {x2 - x1:g} x {y2 - y1:g} px'
    if size is None:
        return '', ''
    width, height = size
    if min(x1, y1) < -BORDER or x2 > width + BORDER or y2 > height + BORDER:
        return (
            'box outside the image',
            f'the box runs from {_point(x1, y1)} to {_point(x2, y2)}, the image is '
            f'{width:g} x {height:g}',
        )
    return '', ''


def mask_fault(mask: object, size: tuple[float, float] | None) -> str:
    """The defect of a COCO `segmentation`: polygons or a run-length mask.

    Args:
        mask: What the file gives; None, [] and {} mean no mask and are fine.
        size: (width, height) of the image; None when it is not known.
    """
    if not mask:
        return ''
    if isinstance(mask, dict):
        return _rle_fault(mask, size)
    if not isinstance(mask, list):
        return f'segmentation is {brief(mask)}; expected polygons or a run-length mask'
    for number, polygon in enumerate(mask):
        fault = polygon_fault(polygon, size)
        if fault:
            return f'polygon {number} {fault}'
    return ''


def polygon_fault(polygon: object, size: tuple[float, float] | None) -> str:
    """The defect of one polygon [x, y, x, y, ...].

    COCO closes a polygon by itself, with or without the first point repeated; one that
    encloses nothing cannot be closed.
    """
    if not isinstance(polygon, list):
        return f'is {brief(polygon)}; expected a list [x, y, x, y, ...]'
    if not all(map(is_number, polygon)):
        wrong = next(value for value in polygon if not is_number(value))
        return f'holds {brief(wrong)}; expected finite numbers'
    if len(polygon) % 2:
        return f'has {len(polygon)} coordinates, an odd number'
    x, y = polygon[0::2], polygon[1::2]
    num_points = len(set(zip(x, y, strict=True)))
    if num_points < 3:
        return f'has {num_points} different points and does not close; expected 3'
    if min(x) == max(x) or min(y) == max(y):
        return 'lies on one line and encloses nothing'
    if size is not None and (
        min(min(x), min(y)) < -BORDER
        or max(x) > size[0] + BORDER
        or max(y) > size[1] + BORDER
    ):
        return f'lies outside of the image ({size[0]:g} x {size[1]:g})'
    return ''


def _rle_fault(mask: dict, size: tuple[float, float] | None) -> str:
    shape = mask.get('size')
    if not (
        isinstance(shape, list)
        and len(shape) == 2
        and all(type(side) is int and side > 0 for side in shape)
    ):
        return f'run-length mask of size {brief(shape)}; expected [height, width]'
    if size is not None and (shape[1], shape[0]) != tuple(size):
        return (
            f'run-length mask of {shape[1]} x {shape[0]}, image of '
            f'{size[0]:g} x {size[1]:g}'
        )
    try:
        runs = _runs(mask.get('counts'))
    except ValueError as error:
        return f'run-length mask: {error}'
    if any(run < 0 for run in runs) or sum(runs) != shape[0] * shape[1]:
        return (
            f'run-length mask of {sum(runs)} pixels (runs from {min(runs, default=0)}'
            f' on), expected {shape[0] * shape[1]}'
        )
    return ''


def _runs(counts: object) -> list[int]:
    """Run lengths of plain or of compressed counts.

    The compressed form writes each run (from the third on as the difference to the
    run two before) in groups of 5 bits, lowest first, one character from '0' on each;
    bit 5 says that more follow, bit 4 of the last group is the sign.
    """
    if isinstance(counts, list):
        if not all(type(run) is int for run in counts):
            raise ValueError('counts are not whole numbers')
        return counts
    if not isinstance(counts, str):
        raise ValueError(f'counts are {brief(counts)}; expected numbers or text')
    runs: list[int] = []
    value = digits = 0
    for character in counts:
        bits = ord(character) - ord('0')
        if not 0 <= bits < 64 or digits == MAX_RUN_DIGITS:
            raise ValueError('counts are no compressed runs')
        value |= (bits & 31) << 5 * digits
        digits += 1
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << 5 * digits
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = digits = 0
    if digits:
        raise ValueError('counts end within a run')
    return runs


def _listed(values: Sequence[float]) -> str:
    return ', '.join(f'{value:g}' for value in values)


def _point(x: float, y: float) -> str:
    return f'({x:g}, {y:g})'


def brief(value: object) -> str:
    """A value in a message, not longer than a few words."""
    if isinstance(value, list | dict):
        return f'a {type(value).__name__} of {len(value)}'
    if type(value) is int and not is_number(value):
        return 'a number too large'
    text = repr(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
