"""Read predictions and ground truth from files, and check that they fit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmeff.datasets.files import first_three, read_json
from mmeff.errors import UserError
from mmeff.evaluation.from_coco import found_from_coco, numbered, truth_from_coco
from mmeff.evaluation.objects import Found, Truth

NEEDED = {
    'images': ('id',),
    'annotations': ('image_id', 'category_id', 'bbox'),
    'categories': ('id', 'name'),
}
OPTIONAL = ('area', 'iscrowd')
NEEDED_OF_RESULTS = ('image_id', 'category_id', 'bbox', 'score')
TOO_LARGE = 1e30  # also keeps out infinity and NaN
LOW_SCORE = 0.1  # an AP that leaves out more than this is too small


@dataclass(frozen=True)
class Inputs:
    """What was read.

    Attributes:
        truth: Objects.
        found: Detections.
        classes: Names, in the order of the labels.
        num_images: Of the ground truth.
        notes: What a person should know of the files.
    """

    truth: Truth
    found: Found
    classes: tuple[str, ...]
    num_images: int
    notes: tuple[str, ...]


def read_inputs(predictions: str | Path, ground_truth: str | Path) -> Inputs:
    """Read boxes of both files.

    Args:
        predictions: A list of COCO results, or the predictions.json of `predict`, whose
            images and classes are recognised by their names.
        ground_truth: A COCO annotation file.

    Raises:
        UserError: A file is unreadable or has another form, or they do not fit.
    """
    predictions, ground_truth = Path(predictions), Path(ground_truth)
    coco = read_json(ground_truth)
    _check_coco(ground_truth, coco)
    results, notes = read_json(predictions), []
    if isinstance(results, dict):
        _check_coco(predictions, results)
        results = _renamed(results, coco, predictions, notes)
    _check_entries(predictions, 'results', results, NEEDED_OF_RESULTS)
    images = numbered([image['id'] for image in coco['images']])
    labels = numbered([category['id'] for category in coco['categories']])
    found = found_from_coco(results, images, labels)
    strange = len(results) - len(found)
    if strange:
        notes.append(
            f'{predictions}: {strange} of {len(results)} results have an image_id or '
            f'category_id that {ground_truth} has not, left out'
        )
    if results and not len(found):
        raise UserError(f'{notes[-1]}; expected the file they were predicted for')
    if len(found) and found.scores.min() > LOW_SCORE:
        notes.append(
            f'{predictions}: the lowest score is {found.scores.min():.2f}; AP is too '
            'low where detections were left out (predict with --pred-score-thr 0)'
        )
    names = {category['id']: str(category['name']) for category in coco['categories']}
    return Inputs(
        truth_from_coco(coco['annotations'], images, labels),
        found,
        tuple(names[category_id] for category_id in labels),
        len(images),
        tuple(notes),
    )


def _check_coco(file: Path, content: object) -> None:
    if not isinstance(content, dict) or not set(NEEDED) <= set(content):
        raise UserError(
            f'{file}: expected a COCO annotation file with {", ".join(NEEDED)}'
        )
    for part, keys in NEEDED.items():
        _check_entries(file, part, content[part], keys)


def _check_entries(file: Path, part: str, entries: object, keys: Sequence[str]) -> None:
    """A list of objects with these keys, and usable numbers in them."""
    if not isinstance(entries, list):
        raise UserError(f'{file}: {part} is no list; expected COCO format')
    for number, entry in enumerate(entries):
        lacking = [k for k in keys if not isinstance(entry, dict) or k not in entry]
        if lacking:
            raise UserError(f'{file}: {part}[{number}] has no {", ".join(lacking)}')
        for key in (*keys, *(key for key in OPTIONAL if key in entry)):
            if key == 'name' or _usable(key, entry[key]):
                continue
            raise UserError(
                f'{file}: {part}[{number}] has {key} {str(entry[key])[:60]}; expected '
                f'{"four finite numbers" if key == "bbox" else "a finite number"}'
            )


def _usable(key: str, value: object) -> bool:
    if key in ('id', 'image_id', 'category_id'):
        return isinstance(value, int | str)
    values = value if key == 'bbox' and isinstance(value, list) else [value]
    good = all(isinstance(v, int | float) and abs(v) < TOO_LARGE for v in values)
    return good and len(values) == (4 if key == 'bbox' else 1)


def _renamed(content: dict, coco: dict, file: Path, notes: list[str]) -> list[dict]:
    """Results of a COCO dictionary with the ids that the ground truth uses."""
    images = _by_name(coco['images'])
    classes = {str(c['name']): c['id'] for c in coco['categories']}
    image_ids = {
        image['id']: images.get(
            str(image.get('file_name')),
            images.get(PurePosixPath(str(image.get('file_name'))).name),
        )
        for image in content['images']
    }
    class_ids = {c['id']: classes.get(str(c['name'])) for c in content['categories']}
    _check_known(content['images'], image_ids, 'file_name', file, notes)
    _check_known(content['categories'], class_ids, 'name', file, notes)
    absent = len(coco['images']) - len(set(image_ids.values()) - {None})
    if absent:
        notes.append(f'{absent} images of the ground truth are not in {file}')
    return [
        {
            **annotation,
            'image_id': image_ids[annotation['image_id']],
            'category_id': class_ids[annotation['category_id']],
        }
        for annotation in content['annotations']
        if image_ids.get(annotation['image_id']) is not None
        and class_ids.get(annotation['category_id']) is not None
    ]


def _by_name(images: list[dict]) -> dict:
    """Ids by file name; also by the name without folders where only one has it."""
    full = {str(image.get('file_name')): image['id'] for image in images}
    counts = Counter(PurePosixPath(name).name for name in full)
    short = {PurePosixPath(name).name: name for name in full}
    return {
        **{last: full[name] for last, name in short.items() if counts[last] == 1},
        **full,
    }


def _check_known(
    entries: list[dict], ids: dict, key: str, file: Path, notes: list[str]
) -> None:
    """Say which names the ground truth has not; an error if it has none of them."""
    strange = [str(entry.get(key)) for entry in entries if ids[entry['id']] is None]
    if not strange:
        return
    text = (
        f'{file}: {len(strange)} of {len(entries)} names of '
        f'{"images" if key == "file_name" else "classes"} are not in the ground truth: '
        f'{first_three(strange)}'
    )
    if len(strange) == len(entries):
        raise UserError(f'{text}; expected the file they were predicted for')
    notes.append(f'{text}; left out')
