"""A COCO file whose entries are parsed when it is their turn."""

import mmap
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from mmeff.datasets.files import parse_json

ENTRIES_TO_RELEASE = 20_000  # after which the pages of the file are let go of


class _Parts(msgspec.Struct):
    """The entries of a file, each still a text within it."""

    images: list[msgspec.Raw]
    categories: list[msgspec.Raw]
    annotations: list[msgspec.Raw] = []


class _ImageKey(msgspec.Struct, gc=False):
    id: int


class _AnnotationKeys(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int


class CocoFile:
    """The images of a COCO file with their annotations, in the order of the file.

    Of two images with the same id the later one counts, as in pycocotools.

    Can be iterated over once: gives (image, its annotations).

    Args:
        path: The file. It must not change while it is read.
        classes: Names of the wanted categories; all when empty.

    Attributes:
        category_ids: Of the wanted categories, in the order of the file.
        with_class: Ids of the images with an annotation of a wanted category.

    Raises:
        KeyError, OverflowError, TypeError, ValueError: It is no COCO file, or annotation
            ids are no whole numbers or used twice.
    """

    def __init__(self, path: str | Path, classes: Sequence[str] = ()) -> None:
        self._classes = classes
        with open(path, 'rb') as stream:
            self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._divide()
        except msgspec.DecodeError:  # NaN, or ids that are no whole numbers
            self._parse_all()

    def __iter__(self) -> Iterator[tuple[dict, list[dict]]]:
        for turn, (number, entry) in enumerate(self._images.items()):
            annotations = self._by_image.pop(number, ())
            yield _parse(entry), [_parse(annotation) for annotation in annotations]
            if turn % ENTRIES_TO_RELEASE == 0:
                self._release()

    def _release(self) -> None:
        """Let go of the memory of what has been read of the file."""
        if hasattr(self._data, 'madvise'):
            self._data.madvise(mmap.MADV_DONTNEED)

    def _divide(self) -> None:
        """Find the entries without parsing them."""
        parts = msgspec.json.decode(self._data, type=_Parts)
        self._release()
        read = msgspec.json.Decoder(_ImageKey).decode
        self._images = {read(entry).id: entry for entry in parts.images}
        read = msgspec.json.Decoder(_AnnotationKeys).decode
        categories = [_parse(entry) for entry in parts.categories]
        self._group(categories, parts.annotations, read)

    def _parse_all(self) -> None:
        """Parse everything at once."""
        content = parse_json(bytes(self._data))
        self._images = {entry['id']: entry for entry in content['images']}
        self._group(content['categories'], content.get('annotations', []), _Keys)

    def _group(self, categories: list[dict], annotations: list, keys_of) -> None:
        """Sort annotations by image."""
        self.category_ids = [
            category['id']
            for category in categories
            if not self._classes or category['name'] in self._classes
        ]
        wanted = set(self.category_ids)
        self.with_class = set()
        self._by_image = defaultdict(list)
        ids = array('q')
        for turn, entry in enumerate(annotations):
            keys = keys_of(entry)
            if keys.image_id in self._images:
                self._by_image[keys.image_id].append(entry)
                ids.append(keys.id)
                if keys.category_id in wanted:
                    self.with_class.add(keys.image_id)
            if turn % ENTRIES_TO_RELEASE == 0:
                self._release()
        if len(np.unique(ids)) < len(ids):
            raise ValueError('annotation ids are used twice')


class _Keys:
    """The keys of a parsed annotation."""

    def __init__(self, annotation: dict) -> None:
        self.id = annotation['id']
        self.image_id = annotation['image_id']
        self.category_id = annotation['category_id']


def _parse(entry: msgspec.Raw | dict) -> dict:
    return entry if isinstance(entry, dict) else parse_json(bytes(entry))
