"""Find images that are in two splits, by their content."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path

from mmeff.datasets.findings import Findings
from mmeff.datasets.image_files import in_threads
from mmeff.datasets.raw import RawData, RawSplit

END_BYTES = 4096


File = tuple[str, Path]  # split, image file


def find_overlaps(raw: RawData, found: Findings) -> list[list[File]]:
    """Tell each image file whose content another split has as well.

    Of the files of the same length the ends are compared, and only where those are the
    same the whole. Files of the same name with another content are counted in a note.

    Returns:
        Groups of files with the same content, in the order of the splits.
    """
    if len(raw.splits) < 2:
        return []
    files = [
        (name, file) for name, split in raw.splits.items() for file in _files(split)
    ]
    groups = [files]
    for key in (os.path.getsize, _end, _digest):
        groups = [
            part
            for group in groups
            for part in _shared(group, in_threads(key, [file for _, file in group]))
        ]
    same = set()
    for group in groups:
        (first_split, first), *others = group
        for split, file in others:
            if split != first_split:
                same.add(file.name)
                reason = f'the same content in {split} as {first} in {first_split}'
                found.note('image in two splits', file, '', reason)
    by_name = _shared(files, [file.name for _, file in files])
    others = [group for group in by_name if group[0][1].name not in same]
    if others:
        raw.notes.append(
            f'{len(others)} file names are in two splits, with another content'
        )
    return groups


def _files(split: RawSplit) -> Iterable[Path]:
    names = dict.fromkeys(
        image['file_name']
        for image in split.coco['images']
        if image['id'] not in split.unusable
    )
    return [split.image_root / name for name in names]


def _shared(files: list[File], keys: Iterable[Hashable]) -> list[list[File]]:
    """Groups of files with the same key, those of at least two splits."""
    groups = defaultdict(list)
    for value, entry in zip(keys, files, strict=True):
        groups[value].append(entry)
    return [group for group in groups.values() if len({name for name, _ in group}) > 1]


def _end(file: Path) -> bytes:
    with open(file, 'rb') as stream:
        stream.seek(max(0, os.path.getsize(file) - END_BYTES))
        return stream.read()


def _digest(file: Path) -> bytes:
    return hashlib.sha1(file.read_bytes()).digest()
