"""The entries of a COCO file: which keys they need, and of which types.

`sort_entries` tells each wrong entry and hands on those that can be read. Numbers
written as text are told too, and read.
"""

from collections.abc import Callable
from pathlib import Path

from mmeff.datasets.findings import STRICT, Defect, Strict
from mmeff.datasets.rules import brief, is_number, number_in
from mmeff.errors import escape

STRUCTURE, TYPE = 'wrong structure', 'wrong type'
NEEDED = {
    'images': ('id', 'file_name'),
    'annotations': ('image_id', 'category_id', 'bbox'),
    'categories': ('id', 'name'),
}


class _UnusableError(ValueError):
    """The reason why an entry cannot be used at all."""


def sort_entries(file: Path, coco: dict, found: Strict = STRICT) -> None:
    """Check the three lists of a COCO file; entries that cannot be used are taken out.

    Args:
        file: The file, for messages.
        coco: Its content, changed in place.
        found: Is told each defect.

    Raises:
        UserError: From `found`, with the first entry that is wrong.
    """
    for part in NEEDED:
        entries = coco.setdefault(part, []) if part == 'annotations' else coco[part]
        if not isinstance(entries, list):
            reason = f'"{part}" is no list'
            found.refuse(
                f'{file}: {reason}; expected the COCO format',
                Defect(STRUCTURE, str(file), '', reason),
            )
            entries = []
        coco[part] = [
            entry
            for number, entry in enumerate(entries)
            if _sort_entry(file, part, number, entry, found)
        ]
    for part in ('images', 'categories'):
        coco[part] = _unique(file, part, coco[part], found)


def _sort_entry(
    file: Path, part: str, number: int, entry: object, found: Strict
) -> bool:
    """True for an entry that can be used; its texts are changed to numbers in place."""
    place = f'{part}[{number}]'
    expected = f'expected {", ".join(NEEDED[part])} in each, as in COCO instances files'
    if not isinstance(entry, dict):
        lacking = list(NEEDED[part])
    else:
        lacking = [key for key in NEEDED[part] if key not in entry]
    if lacking:
        reason = f'has no {", ".join(lacking)}'
        found.refuse(
            f'{file}: {place} {reason}; {expected}',
            Defect(STRUCTURE, str(file), place, reason),
        )
        return False
    if _is_plain(part, entry):
        return True
    try:
        faults = _NORMALISE[part](entry)
        usable = True
    except _UnusableError as error:
        faults, usable = [str(error)], False
    if faults:
        found.refuse(
            escape(
                f'{file}: {place}: {"; ".join(faults)}; mend the file, or let '
                'tools/check_data.py --fix write a repaired copy'
            ),
            *(Defect(TYPE, str(file), place, fault) for fault in faults),
        )
    return usable


def _is_plain(part: str, entry: dict) -> bool:
    """True for most annotations of a good file, at little cost."""
    return (
        part == 'annotations'
        and type(entry['image_id']) is int
        and type(entry['category_id']) is int
        and type(entry['bbox']) is list
        and str not in map(type, entry['bbox'])
        and type(entry.get('id')) is int
        and -(2**63) < entry['id'] < 2**63
        and type(entry.get('area', 0)) in (int, float)
        and is_number(entry.get('area', 0))
        and entry.get('iscrowd', 0) in (0, 1)
    )


def _normalise_image(entry: dict) -> list[str]:
    faults = [*_set_id(entry, 'id')]
    name = entry['file_name']
    if not isinstance(name, str) or not name or '\0' in name:
        raise _UnusableError(f'file_name is {brief(name)}; expected the name of a file')
    for key in ('width', 'height'):
        if entry.get(key):
            faults += _set_number(entry, key)
            if not (entry[key] or 0) >= 0:
                faults.append(f'{key} is {entry[key]:g}; expected pixels')
                entry[key] = None
    return faults


def _normalise_category(entry: dict) -> list[str]:
    faults = [*_set_id(entry, 'id')]
    name = entry['name']
    if (not isinstance(name, str) and not is_number(name)) or not str(name).strip():
        raise _UnusableError(f'name is {brief(name)}; expected a text')
    parent = entry.get('supercategory')
    if parent is not None and not isinstance(parent, str):
        faults.append(f'supercategory is {brief(parent)}; expected a text')
        del entry['supercategory']
    return faults


def _normalise_annotation(entry: dict) -> list[str]:
    faults = [*_set_id(entry, 'image_id'), *_set_id(entry, 'category_id')]
    if entry.get('id') is not None:
        try:
            faults += _set_id(entry, 'id')
        except _UnusableError as error:
            faults.append(str(error))
            del entry['id']
    if 'area' in entry:
        faults += _set_number(entry, 'area')
        if entry['area'] is None:
            del entry['area']
    crowd = entry.get('iscrowd', 0)
    if crowd not in (0, 1):
        faults.append(f'iscrowd is {brief(crowd)}; expected 0 or 1')
        entry['iscrowd'] = int(crowd == '1')
    bbox = entry['bbox']
    if isinstance(bbox, list) and any(isinstance(value, str) for value in bbox):
        faults.append('bbox holds text; expected numbers')
        numbers = [number_in(value) for value in bbox]
        entry['bbox'] = [
            v if n is None else n for v, n in zip(bbox, numbers, strict=True)
        ]
    return faults


_NORMALISE: dict[str, Callable[[dict], list[str]]] = {
    'images': _normalise_image,
    'annotations': _normalise_annotation,
    'categories': _normalise_category,
}


def _set_id(entry: dict, key: str) -> list[str]:
    """Make an id a whole number; says so when it was text.

    Raises:
        _UnusableError: It is no whole number.
    """
    value = entry[key]
    number = number_in(value)
    if number is None or number != int(number):
        raise _UnusableError(f'{key} is {brief(value)}; expected a whole number')
    if isinstance(value, str):
        entry[key] = int(number)
        return [f'{key} is the text {brief(value)}; expected a whole number']
    return []


def _set_number(entry: dict, key: str) -> list[str]:
    """Make a value a number, or None; says so when it was none."""
    value = entry[key]
    if is_number(value):
        return []
    entry[key] = number_in(value)
    return [f'{key} is {brief(value)}; expected a number']


def _unique(file: Path, part: str, entries: list[dict], found: Strict) -> list[dict]:
    """The entries without those that repeat an id."""
    first: dict[float, dict] = {}
    again = []
    for entry in entries:
        if first.setdefault(entry['id'], entry) is not entry:
            again.append(entry)
    if again:
        singular = {'images': 'image', 'categories': 'category'}[part]
        found.refuse(
            f'{file}: {len(again)} ids in "{part}" are used twice; give each its own',
            *(
                Defect(
                    'duplicate id',
                    str(file),
                    f'{singular} {entry["id"]}',
                    f'the id is used again by "{entry.get("file_name", entry.get("name"))}"',
                )
                for entry in again
            ),
        )
    return list(first.values())
