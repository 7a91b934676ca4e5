"""Read the Pascal VOC layout: one XML file per image.

Known forms: a devkit (`VOC2007/` and `VOC2012/` in the folder or in its `VOCdevkit/`),
one VOC folder (`Annotations/`, `JPEGImages/`, `ImageSets/Main/*.txt`), `train/`,
`valid/` and `test/` folders of XML files and images, or one folder of them.

Only `xml.etree` reads the files, and a document type declaration is refused, so
that no entity is ever expanded.
"""

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from mmeff.datasets.files import (
    WRONG_SIZE,
    first_three,
    index_images,
    read_sizes,
    require_files,
)
from mmeff.datasets.raw import SPLIT_FOLDERS, SPLITS, Instance, Picture, RawData
from mmeff.errors import UserError

XML_FOLDERS = ('Annotations', 'annotations', 'xmls', 'labels', '.')
IMAGE_FOLDERS = ('JPEGImages', 'images', 'Images', '.')


@dataclass(frozen=True)
class _Entry:
    """One annotation file and the image that it belongs to."""

    xml: Path
    image: Path


def read_voc(root: Path) -> RawData | None:
    """Read a folder in VOC layout; None when it has no VOC annotation.

    Boxes are read as mmdet's XMLDataset does: whole numbers, 1 taken off each of
    the four. Objects marked `difficult` become COCO crowds, which training and both
    metrics leave out of account.

    Raises:
        UserError: An annotation file, a list or an image is missing or unreadable.
    """
    raw = RawData('VOC', {})
    entries, source = _find(root, raw)
    if not entries:
        return None
    read = {name: [_read_xml(e.xml) for e in split] for name, split in entries.items()}
    classes = sorted({o.label for split in read.values() for a in split for o in a[1]})
    for name, split in entries.items():
        images = [entry.image for entry in split]
        require_files(images, source)
        sizes = read_sizes(images, source)
        _check_sizes(split, [size for size, _ in read[name]], sizes)
        pictures = [
            Picture(image, size, objects)
            for image, size, (_, objects) in zip(images, sizes, read[name], strict=True)
        ]
        raw.add_split(name, pictures, classes, source)
    return raw


# ----------------------------------------------------------------------- the layouts


def _find(root: Path, raw: RawData) -> tuple[dict[str, list[_Entry]], Path]:
    """Entries of each split, and the folder they were found in."""
    for base in (root, root / 'VOCdevkit'):
        if (base / 'Annotations').is_dir():
            return _one_year(base, raw), base
        years = sorted(base.glob('VOC[0-9]*/Annotations')) if base.is_dir() else []
        if len(years) == 1:
            return _one_year(years[0].parent, raw), years[0].parent
        if years:
            return _several_years([year.parent for year in years], raw), base
    entries = {}
    for name, folders in SPLIT_FOLDERS.items():
        for folder in folders:
            found = _all_entries(root / folder)
            if found:
                entries[name] = found
    if not entries:
        everything = _all_entries(root)
        entries = {'train': everything} if everything else {}
    raw.voc_eval_mode = 'area'
    return entries, root


def _one_year(base: Path, raw: RawData) -> dict[str, list[_Entry]]:
    """One VOC folder: the lists that it has, else all its annotations as train."""
    raw.layout = base.name if base.name.startswith('VOC') else 'VOC'
    raw.voc_eval_mode = '11points' if base.name == 'VOC2007' else 'area'
    lists = {name: _listed(base, name) for name in SPLITS}
    if not lists['train']:
        lists['train'] = _listed(base, 'trainval')
    entries = {name: found for name, found in lists.items() if found}
    if entries:
        return entries
    raw.notes.append(f'{base / "ImageSets" / "Main"}: no lists of the splits')
    everything = _all_entries(base)
    return {'train': everything} if everything else {}


def _several_years(bases: list[Path], raw: RawData) -> dict[str, list[_Entry]]:
    """The 07+12 protocol: trainval of all years, tested on the test list of 2007."""
    raw.layout = '+'.join(base.name for base in bases)
    trainval = [p for base in bases for p in _listed(base, 'trainval')]
    test = [p for base in bases for p in _listed(base, 'test')]
    if trainval and test:
        tested = [base.name for base in bases if _listed(base, 'test')]
        raw.voc_eval_mode = '11points' if tested == ['VOC2007'] else 'area'
        raw.notes.append(
            f'train is trainval of {raw.layout}; val and test are test of '
            + '+'.join(tested)
        )
        return {'train': trainval, 'val': test}
    raw.voc_eval_mode = 'area'
    lists = {name: [p for b in bases for p in _listed(b, name)] for name in SPLITS}
    return {name: found for name, found in lists.items() if found}


def _listed(base: Path, name: str) -> list[_Entry]:
    """Entries named in ImageSets/Main/<name>.txt; empty when there is no such list."""
    file = base / 'ImageSets' / 'Main' / f'{name}.txt'
    if not file.is_file():
        return []
    lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
    stems = [line.split()[0] for line in lines if line.strip()]
    xmls = [base / 'Annotations' / f'{stem}.xml' for stem in stems]
    missing = [str(xml) for xml in xmls if not xml.is_file()]
    if missing and len(missing) == len(xmls) and name == 'test':
        return []  # the VOC2012 test annotations were never published
    if missing:
        raise UserError(
            f'{file}: {len(missing)} of {len(xmls)} annotations are missing: '
            f'{first_three(missing)}; copy them there, or shorten the list'
        )
    return _pair(base, xmls)


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
    """Builds the tree, but refuses a document type (where entities are declared)."""

    def doctype(self, name, pubid, system):
        raise ValueError('a document type declaration, which is not accepted')


def _parse(file: Path) -> ET.Element:
    try:
        tree = ET.parse(file, ET.XMLParser(target=_PlainBuilder()))
    except (OSError, ET.ParseError, ValueError) as error:
        raise UserError(
            f'{file}: cannot be read as VOC annotation ({error}); expected plain XML '
            'with <annotation><object>...'
        ) from error
    if tree.getroot().tag != 'annotation':
        raise UserError(
            f'{file}: the root element is <{tree.getroot().tag}>, expected '
            '<annotation> of the VOC format; convert it, or move it away'
        )
    return tree.getroot()


def _read_xml(file: Path) -> tuple[tuple, list[Instance]]:
    """Image size (width, height) and all objects; numbers that are none are NaN."""
    root = _parse(file)
    size = tuple(_whole_number(root.findtext(f'size/{s}')) for s in ('width', 'height'))
    objects = []
    for item in root.findall('object'):
        name = (item.findtext('name') or '').strip()
        box = item.find('bndbox')
        if not name or box is None:
            raise UserError(
                f'{file}: an <object> without <name> or <bndbox>; each object needs '
                'both, mend the file or delete the object'
            )
        corners = tuple(
            _whole_number(box.findtext(key)) - 1
            for key in ('xmin', 'ymin', 'xmax', 'ymax')
        )
        ignored = (item.findtext('difficult') or '0').strip() == '1'
        objects.append(Instance(name, corners, ignored=ignored))
    return size, objects


def _whole_number(text: str | None) -> float:
    try:
        number = float(text or 'nan')
    except ValueError:
        return math.nan
    return int(number) if math.isfinite(number) else math.nan


def _check_sizes(entries: list[_Entry], said: list[tuple], sizes: list) -> None:
    """The size an XML file gives must be that of the image (0 means unknown)."""
    wrong = [
        f'{entry.xml} (says {claim[0]}x{claim[1]}, image {size[0]}x{size[1]})'
        for entry, claim, size in zip(entries, said, sizes, strict=True)
        if min(claim) > 0 and claim != size
    ]
    if wrong:
        raise UserError(
            f'{len(wrong)} of {len(entries)} annotations {WRONG_SIZE}: '
            f'{first_three(wrong)}'
        )
