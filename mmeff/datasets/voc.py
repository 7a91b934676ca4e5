"""Read the Pascal VOC layout: one XML file per image.

Known forms: a devkit (`VOC2007/` and `VOC2012/` in the folder or in its `VOCdevkit/`),
one VOC folder (`Annotations/`, `JPEGImages/`, `ImageSets/Main/*.txt`), `train/`,
`valid/` and `test/` folders of XML files and images, or one folder of them.

Only `xml.etree` reads the files, and a document type declaration is refused, so
that no entity is ever expanded.
"""

import math
import os
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from mmeff.datasets.coco_entries import STRUCTURE
from mmeff.datasets.files import (
    UNREADABLE,
    WRONG_SIZE,
    first_three,
    index_images,
    require_files,
    require_inside,
    require_regular,
)
from mmeff.datasets.findings import STRICT, Defect, Strict, escape
from mmeff.datasets.image_files import read_sizes
from mmeff.datasets.raw import SPLIT_FOLDERS, SPLITS, Instance, Picture, RawData
from mmeff.datasets.rules import MAX_INT, number_in

XML_FOLDERS = ('Annotations', 'annotations', 'xmls', 'labels', '.')
IMAGE_FOLDERS = ('JPEGImages', 'images', 'Images', '.')
MAX_XML_BYTES = 16 * 2**20  # a picture with 50,000 objects
MAX_XML_DEPTH = 50  # VOC files need 4


@dataclass(frozen=True)
class _Entry:
    """One annotation file and the image that it belongs to."""

    xml: Path
    image: Path


def read_voc(root: Path, found: Strict = STRICT) -> RawData | None:
    """Read a folder in VOC layout; None when it has no VOC annotation.

    Boxes are read as mmdet's XMLDataset does: whole numbers, 1 taken off each of
    the four. Objects marked `difficult` become COCO crowds, which training and both
    metrics leave out of account.

    Raises:
        UserError: From `found`: an annotation file, a list or an image is missing,
            unreadable or outside of the folder.
    """
    raw = RawData('VOC', {})
    entries, source = _find(root, raw, found)
    if not entries:
        return None
    read = {}
    for name, split in entries.items():
        require_inside([entry.xml for entry in split], [root], source, found)
        read[name] = [_read_xml(entry.xml, found) for entry in split]
    classes = sorted(
        {o.label for split in read.values() for xml in split for o in xml[1]}
    )
    for name, split in entries.items():
        images = [entry.image for entry in split]
        require_inside(images, [root], source, found)
        require_files(images, source, found)
        sizes = read_sizes(images, source, found)
        wrong = _check_sizes(split, [said for said, _ in read[name]], sizes, found)
        pictures = [
            Picture(
                entry.image,
                size or (1, 1),
                objects,
                entry.xml,
                usable=size is not None and said is not None and entry not in wrong,
            )
            for entry, size, (said, objects) in zip(
                split, sizes, read[name], strict=True
            )
        ]
        raw.add_split(name, pictures, classes, source)
    return raw


# ----------------------------------------------------------------------- the layouts


def _find(
    root: Path, raw: RawData, found: Strict
) -> tuple[dict[str, list[_Entry]], Path]:
    """Entries of each split, and the folder they were found in."""
    for base in (root, root / 'VOCdevkit'):
        if (base / 'Annotations').is_dir():
            return _one_year(base, raw, found), base
        years = sorted(base.glob('VOC[0-9]*/Annotations')) if base.is_dir() else []
        if len(years) == 1:
            return _one_year(years[0].parent, raw, found), years[0].parent
        if years:
            return _several_years([year.parent for year in years], raw, found), base
    entries = {}
    for name, folders in SPLIT_FOLDERS.items():
        for folder in folders:
            listed = _all_entries(root / folder)
            if listed:
                entries[name] = listed
    if not entries:
        everything = _all_entries(root)
        entries = {'train': everything} if everything else {}
    raw.voc_eval_mode = 'area'
    return entries, root


def _one_year(base: Path, raw: RawData, found: Strict) -> dict[str, list[_Entry]]:
    """One VOC folder: the lists that it has, else all its annotations as train."""
    raw.layout = base.name if base.name.startswith('VOC') else 'VOC'
    raw.voc_eval_mode = '11points' if base.name == 'VOC2007' else 'area'
    lists = {name: _listed(base, name, found) for name in SPLITS}
    if not lists['train']:
        lists['train'] = _listed(base, 'trainval', found)
    entries = {name: listed for name, listed in lists.items() if listed}
    if entries:
        return entries
    raw.notes.append(f'{base / "ImageSets" / "Main"}: no lists of the splits')
    everything = _all_entries(base)
    return {'train': everything} if everything else {}


def _several_years(
    bases: list[Path], raw: RawData, found: Strict
) -> dict[str, list[_Entry]]:
    """The 07+12 protocol: trainval of all years, tested on the test list of 2007."""
    raw.layout = '+'.join(base.name for base in bases)
    trainval = [p for base in bases for p in _listed(base, 'trainval', found)]
    tests = {base.name: _listed(base, 'test', found) for base in bases}
    test = [entry for entries in tests.values() for entry in entries]
    if trainval and test:
        tested = [name for name, entries in tests.items() if entries]
        raw.voc_eval_mode = '11points' if tested == ['VOC2007'] else 'area'
        raw.notes.append(
            f'train is trainval of {raw.layout}; val and test are test of '
            + '+'.join(tested)
        )
        return {'train': trainval, 'val': test}
    raw.voc_eval_mode = 'area'
    lists = {
        name: [entry for base in bases for entry in _listed(base, name, found)]
        for name in ('train', 'val')
    }
    lists['test'] = test
    return {name: entries for name, entries in lists.items() if entries}


def _listed(base: Path, name: str, found: Strict) -> list[_Entry]:
    """Entries named in ImageSets/Main/<name>.txt; empty when there is no such list."""
    file = base / 'ImageSets' / 'Main' / f'{name}.txt'
    if not file.is_file():
        return []
    lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
    stems = [line.split()[0] for line in lines if line.strip()]
    xmls = [base / 'Annotations' / f'{stem}.xml' for stem in stems]
    there = [xml for xml in xmls if os.path.isfile(xml)]
    if not there and name == 'test':
        return []  # the VOC2012 test annotations were never published
    if len(there) < len(xmls):
        missing = [str(xml) for xml in xmls if not os.path.isfile(xml)]
        found.refuse(
            f'{file}: {len(missing)} of {len(xmls)} annotations are missing: '
            f'{first_three(missing)}; copy them there, or shorten the list',
            *(
                Defect('missing annotations', str(file), '', f'{xml} does not exist')
                for xml in missing
            ),
        )
    return _pair(base, there) if there else []


def _all_entries(base: Path) -> list[_Entry]:
    """Every XML file of the first folder that holds some."""
    for folder in XML_FOLDERS:
        xmls = sorted((base / folder).glob('[!.]*.xml'))
        if xmls:
            return _pair(base, xmls)
    return []


def _pair(base: Path, xmls: list[Path]) -> list[_Entry]:
    """Give each annotation its image, by the name without suffix."""
    folders = [base / name for name in IMAGE_FOLDERS] + [xmls[0].parent]
    images = index_images(folders)
    expected = next((folder for folder in folders if folder.is_dir()), base)
    return [_Entry(x, images.get(x.stem, expected / f'{x.stem}.jpg')) for x in xmls]


# ------------------------------------------------------------------------ the content


class _PlainBuilder(ET.TreeBuilder):
    """Builds the tree, but not an endless one.

    A document type, where entities are declared, is refused, and deep nesting: an element
    takes twenty times the memory of its text.
    """

    depth = 0

    def start(self, tag, attributes):
        self.depth += 1
        if self.depth > MAX_XML_DEPTH:
            raise ValueError(f'more than {MAX_XML_DEPTH} elements in each other')
        return super().start(tag, attributes)

    def end(self, tag):
        self.depth -= 1
        return super().end(tag)

    def doctype(self, name, pubid, system):
        raise ValueError('a document type declaration, which is not accepted')


def _parse(file: Path) -> ET.Element:
    """The root element.

    Raises:
        ValueError: The file is no plain XML, or none of the VOC format.
    """
    try:
        require_regular(file)
        if file.stat().st_size > MAX_XML_BYTES:
            raise ValueError(f'more than {MAX_XML_BYTES >> 20} MiB')
        root = ET.parse(file, ET.XMLParser(target=_PlainBuilder())).getroot()
    except (OSError, ET.ParseError, ValueError, LookupError) as error:
        raise ValueError(f'cannot be read as VOC annotation ({error})') from error
    if root.tag != 'annotation':
        raise ValueError(f'the root element is <{root.tag}>')
    return root


def _read_xml(file: Path, found: Strict) -> tuple[tuple | None, list[Instance]]:
    """Image size (width, height) and all objects; numbers that are none are NaN.

    The size is None when the file cannot be read.
    """
    try:
        root = _parse(file)
    except ValueError as error:
        found.refuse(
            f'{file}: {escape(str(error))}; expected plain XML with '
            '<annotation><object>... of the VOC format',
            Defect(UNREADABLE, str(file), '', str(error)),
        )
        return None, []
    size = tuple(_whole_number(root.findtext(f'size/{s}')) for s in ('width', 'height'))
    objects = []
    for number, item in enumerate(root.findall('object'), 1):
        place = f'object {number}'
        name = (item.findtext('name') or '').strip()
        box = item.find('bndbox')
        if not name or box is None:
            reason = 'an <object> without <name> or <bndbox>'
            found.refuse(
                f'{file}: {reason}; each object needs both, mend the file or delete the '
                'object',
                Defect(STRUCTURE, str(file), place, reason),
            )
            continue
        corners = tuple(
            _whole_number(box.findtext(key)) - 1
            for key in ('xmin', 'ymin', 'xmax', 'ymax')
        )
        ignored = (item.findtext('difficult') or '0').strip() == '1'
        objects.append(Instance(name, corners, ignored=ignored, place=place))
    return size, objects


def _whole_number(text: str | None) -> float:
    """A number of an XML file, towards zero; NaN for what is none."""
    number = number_in(text or '')
    return math.nan if number is None or abs(number) >= MAX_INT else int(number)


def _check_sizes(
    entries: list[_Entry], said: list, sizes: list, found: Strict
) -> set[_Entry]:
    """The size an XML file gives must be that of the image (0 means unknown).

    Returns:
        The entries where it is not.
    """
    wrong = {
        entry: f'{entry.xml} (says {claim[0]}x{claim[1]}, image {size[0]}x{size[1]})'
        for entry, claim, size in zip(entries, said, sizes, strict=True)
        if size is not None and claim and min(claim) > 0 and claim != size
    }
    if wrong:
        found.refuse(
            f'{len(wrong)} of {len(entries)} annotations {WRONG_SIZE}: '
            f'{first_three(list(wrong.values()))}',
            *(
                Defect('wrong size', str(entry.xml), 'size', reason)
                for entry, reason in wrong.items()
            ),
        )
    return set(wrong)
