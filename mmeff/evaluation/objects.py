"""Boxes of a whole data set as arrays, those of all images one after another."""

from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Objects:
    """N boxes.

    Attributes:
        image: (N,) int, number of the image from 0. COCO breaks ties of scores by the
            order of image ids, so it should be the place of the id among the sorted ids.
        label: (N,) int, number of the class from 0.
        boxes: (N, 4) float64: x, y, width, height in pixels.
        area: (N,) float64 in square pixels; of the mask where masks are compared.
        masks: (N,) object array of run lengths as pycocotools has them, or None.
    """

    image: np.ndarray
    label: np.ndarray
    boxes: np.ndarray
    area: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image)

    def take(self, index: np.ndarray) -> 'Objects':
        """The boxes of an index or a mask, in its order."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{name: p[index] for name, p in parts.items() if p is not None}
        )


@dataclass(frozen=True, kw_only=True)
class Truth(Objects):
    """Annotated objects.

    Attributes:
        ignored: (N,) bool, COCO's crowds or VOC's difficult objects: whoever finds them
            is neither right nor wrong.
    """

    ignored: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Found(Objects):
    """Detections.

    Attributes:
        scores: (N,) float64.
    """

    scores: np.ndarray


def groups(*parts: Objects) -> list[np.ndarray]:
    """(N,) int for each part: a number for each class and image, sorted by class first."""
    images = 1 + max((int(part.image.max()) for part in parts if len(part)), default=0)
    return [part.label * images + part.image for part in parts]
