"""What the readers of the layouts hand over: splits with annotations in COCO form."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SPLITS = ('train', 'val', 'test')
SPLIT_FOLDERS = {'train': ('train',), 'val': ('val', 'valid'), 'test': ('test',)}


@dataclass(frozen=True)
class Instance:
    """One object; box (x1, y1, x2, y2) and polygon (x, y, x, y, ...) in pixels.

    `place` tells where its file has it: 'object 3', 'line 4'.
    """

    label: str
    box: tuple[float, float, float, float]
    polygon: tuple[float, ...] | None = None
    ignored: bool = False
    place: str = ''


@dataclass(frozen=True)
class Picture:
    """An image file, its size (width, height) in pixels, and its objects.

    `source` is the annotation file. A picture that is not `usable` (its image or its
    annotations cannot be read) has a size of its annotations, or (1, 1).
    """

    file: Path
    size: tuple[int, int]
    instances: Sequence[Instance]
    source: Path
    usable: bool = True


@dataclass
class RawSplit:
    """One split as it was found.

    Args:
        coco: Annotations in COCO form: images, annotations, categories.
        image_root: Folder to which `file_name` of the images is relative.
        source: Annotation file or folder, to be named in messages.
        ann_file: File that holds exactly `coco`; None when it is still to be written.
        pictures: Where `coco` was made from, if not from a COCO file.
        unusable: Ids of the images that are missing, cannot be read or have another
            size than annotated. Empty but for a check that goes on after a defect.
    """

    coco: dict
    image_root: Path
    source: Path
    ann_file: Path | None = None
    pictures: Sequence[Picture] = ()
    unusable: set[int] = field(default_factory=set)


@dataclass
class RawData:
    """All splits of a folder, with what a person should know about the reading.

    Args:
        layout: Name of the layout, for a person: 'COCO', 'VOC2007', 'YOLO', ...
        splits: Any of train, val, test.
        notes: Sentences to print.
        voc_eval_mode: '11points' or 'area' for VOC data, else None.
    """

    layout: str
    splits: dict[str, RawSplit]
    notes: list[str] = field(default_factory=list)
    voc_eval_mode: str | None = None

    def add_split(
        self,
        name: str,
        pictures: Sequence[Picture],
        classes: Sequence[str],
        source: Path,
    ) -> None:
        """Add annotations of another layout, brought into COCO form.

        Objects without area (or with NaN in the box) are left out and counted in a
        note; ignored objects become `iscrowd=1`.
        """
        total = sum(len(picture.instances) for picture in pictures)
        coco, image_root = to_coco(pictures, classes)
        dropped = total - len(coco['annotations'])
        if dropped:
            self.notes.append(f'{name}: boxes without area left out: {dropped}')
        unusable = {i for i, picture in enumerate(pictures, 1) if not picture.usable}
        self.splits[name] = RawSplit(
            coco, image_root, source, pictures=pictures, unusable=unusable
        )


def to_coco(pictures: Sequence[Picture], classes: Sequence[str]) -> tuple[dict, Path]:
    """The COCO dictionary, and the folder that its file names are relative to."""
    root = Path(os.path.commonpath([picture.file.parent for picture in pictures]))
    numbers = {name: number for number, name in enumerate(classes, 1)}
    images, annotations = [], []
    for image_id, picture in enumerate(pictures, 1):
        image = {'id': image_id, 'file_name': picture.file.relative_to(root).as_posix()}
        images.append(image | {'width': picture.size[0], 'height': picture.size[1]})
        for instance in filter(_has_area, picture.instances):
            entry = {
                'id': len(annotations) + 1,
                'image_id': image_id,
                'category_id': numbers[instance.label],
            }
            annotations.append(entry | _geometry(instance))
    categories = [{'id': number, 'name': name} for name, number in numbers.items()]
    coco = {'images': images, 'annotations': annotations, 'categories': categories}
    return coco, root


def _has_area(instance: Instance) -> bool:
    x1, y1, x2, y2 = instance.box
    return x2 > x1 and y2 > y1  # also False for NaN


def _geometry(instance: Instance) -> dict:
    x1, y1, x2, y2 = instance.box
    # YOLO coordinates are rounded to 0.001 px, of which a difference may miss a bit
    width, height = round(x2 - x1, 3), round(y2 - y1, 3)
    geometry = {
        'bbox': [x1, y1, width, height],
        'area': width * height,
        'iscrowd': int(instance.ignored),
    }
    if instance.polygon is not None:
        geometry['area'] = polygon_area(instance.polygon)
        geometry['segmentation'] = [list(instance.polygon)]
    return geometry


def polygon_area(polygon: Sequence[float]) -> float:
    """Area of a polygon [x, y, x, y, ...], in square pixels."""
    x, y = polygon[0::2], polygon[1::2]
    next_x, next_y = [*x[1:], x[0]], [*y[1:], y[0]]
    terms = zip(x, y, next_x, next_y, strict=True)
    return abs(sum(a * d - c * b for a, b, c, d in terms)) / 2
