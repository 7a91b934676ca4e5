"""Write a copy of a data set in another layout."""

from pathlib import Path

from mmeff.datasets.files import new_folder, require_apart
from mmeff.datasets.layouts import read_raw
from mmeff.datasets.mend import mend_annotations, unify_classes
from mmeff.datasets.writers import write_coco, write_voc, write_yolo
from mmeff.errors import UserError

WRITERS = {'coco': write_coco, 'voc': write_voc, 'yolo': write_yolo}


def convert_data(source: str | Path, target: str | Path, to: str) -> list[str]:
    """Write a copy of a data set in COCO, VOC or YOLO layout.

    Args:
        source: Folder of the data set; only read.
        target: Folder to make, outside of `source`.
        to: 'coco', 'voc' or 'yolo'. What each can hold: `mmeff/datasets/writers.py`.

    Returns:
        Lines for a person: counts, and what was changed or lost.

    Raises:
        UserError: The data cannot be read or not be written in this layout, or `target`
            exists.
    """
    if to not in WRITERS:
        raise UserError(f'layout {to!r}: expected one of {", ".join(WRITERS)}')
    target = Path(target).absolute()
    raw = read_raw(source)
    require_apart(target, Path(source))
    splits = list(raw.splits.values())
    notes = [
        *raw.notes,
        *(note for split in splits for note in mend_annotations(split)),
    ]
    notes += unify_classes(splits)[1]
    with new_folder(target) as folder:
        lost = WRITERS[to](folder, raw.splits)
    counts = [
        f'{name}: {len(split.coco["images"])} images, '
        f'{len(split.coco["annotations"])} objects'
        for name, split in raw.splits.items()
    ]
    notes += [f'{what}: {count}' for what, count in lost.items() if count]
    return [*counts, *(f'note: {note}' for note in notes)]
