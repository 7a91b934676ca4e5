"""Data sets with one defect each, and what is said of them.

A row of `BAD_INPUTS`: name, layout of the good data set, function that damages it
(called with its folder), what the check says of it (kind and words of the first
message), and the words with which a training refuses it (None: it copes).
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from damages import (
    IMAGE,
    LABELS,
    TRAIN,
    XML,
    YOLO_IMAGE,
    annotation,
    as_png,
    bomb,
    box,
    coco,
    copy_across,
    cut,
    data_yaml,
    first,
    line,
    link_loop,
    linked,
    listed,
    mask,
    pipe,
    repeat,
    resized,
    sparse,
    text,
    turned,
    without_yaml,
    xml,
)


class BadInput(NamedTuple):
    """One row; see above."""

    name: str
    layout: str
    damage: Callable[[Path], object]
    kind: str
    says: str
    refused: str | None


WORD = 'wrong type', 'expected a whole number', 'expected a whole number'
NUMBERS = 'wrong type', 'expected four numbers', None
MISSING = 'missing image', 'does not exist', 'are missing'
OUTSIDE = 'path outside the folder', 'is not in', 'lead out of the folder'
JSON = 'unreadable annotations', 'cannot be read as json', 'cannot be read as json'
NONFINITE = 'box of NaN', 'expected finite numbers', None
BEYOND = 'box outside the image', 'the image is 128 x 96', None
NO_AREA = 'box without area', 'px', None
UNREADABLE = 'unreadable image'
PIXELS = 'cannot be read'
NO_LIST = 'wrong structure', 'is no list', 'is no list'

COCO = [
    ('empty file', text(TRAIN, ''), *JSON),
    ('cut off', cut(TRAIN, 0.7), *JSON),
    ('no json', text(TRAIN, '<html></html>'), *JSON),
    ('binary', text(TRAIN, bytes(range(256))), *JSON),
    ('other encoding', text(TRAIN, '{"images": "\u00e4"}'.encode('latin-1')), *JSON),
    ('single quotes', text(TRAIN, "{'images': []}"), *JSON),
    ('trailing comma', text(TRAIN, '{"images": [],}'), *JSON),
    ('nested lists', text(TRAIN, '[' * 200_000), *JSON),
    ('nested dictionaries', text(TRAIN, '{"a":' * 200_000), *JSON),
    ('long number', text(TRAIN, '{"images": ' + '9' * 10_000 + 'x}'), *JSON),
    ('3 GiB', sparse(TRAIN, 3 * 2**30), JSON[0], 'at most 2 GiB', 'at most 2 GiB'),
    ('images no list', coco(lambda c: c.update(images={})), *NO_LIST),
    ('annotations no list', coco(lambda c: c.update(annotations='x')), *NO_LIST),
    ('annotations null', coco(lambda c: c.update(annotations=None)), *NO_LIST),
    ('categories no list', coco(lambda c: c.update(categories=7)), *NO_LIST),
    ('entry no dict', coco(lambda c: c['annotations'].insert(0, 5)), 'wrong structure', 'annotations[0]: has no image_id', 'annotations[0] has no image_id'),
    ('image null', coco(lambda c: c['images'].insert(0, None)), 'wrong structure', 'images[0]: has no id, file_name', 'images[0] has no id'),
    ('no image id', first('images', id=...), 'wrong structure', 'has no id', 'has no id'),
    ('no file name', first('images', file_name=...), 'wrong structure', 'has no file_name', 'has no file_name'),
    ('no image_id', annotation(image_id=...), 'wrong structure', 'has no image_id', 'has no image_id'),
    ('no category_id', annotation(category_id=...), 'wrong structure', 'has no category_id', 'has no category_id'),
    ('no bbox', annotation(bbox=...), 'wrong structure', 'has no bbox', 'has no bbox'),
    ('no category name', first('categories', name=...), 'wrong structure', 'has no name', 'has no name'),
    ('two train files', lambda root: (root / 'annotations/instances_train2.json').write_bytes((root / TRAIN).read_bytes()), 'wrong structure', '2 COCO files for train', '2 COCO files for train'),
    ('image id as text', first('images', id='1'), 'wrong type', "id is the text '1'", "id is the text '1'"),
    ('image id a word', first('images', id='one'), *WORD),
    ('image id null', first('images', id=None), *WORD),
    ('image id a list', first('images', id=[1]), *WORD),
    ('image id a fraction', first('images', id=1.5), *WORD),
    ('image id true', first('images', id=True), *WORD),
    ('image id without end', first('images', id=10**400), *WORD),
    ('image id NaN', first('images', id=math.nan), *WORD),
    ('category id as text', first('categories', id='1'), 'wrong type', 'id is the text', 'id is the text'),
    ('category id a dictionary', first('categories', id={}), *WORD),
    ('category name null', first('categories', name=None), 'wrong type', 'expected a text', 'expected a text'),
    ('category name empty', first('categories', name=' '), 'wrong type', 'expected a text', 'expected a text'),
    ('category name a list', first('categories', name=['a']), 'wrong type', 'expected a text', 'expected a text'),
    ('supercategory a list', first('categories', supercategory=[]), 'wrong type', 'supercategory is', 'supercategory is'),
    ('image_id as text', annotation(image_id='1'), 'wrong type', 'image_id is the text', 'image_id is the text'),
    ('image_id a list', annotation(image_id=[]), *WORD),
    ('category_id as text', annotation(category_id='2'), 'wrong type', 'category_id is the text', 'category_id is the text'),
    ('category_id null', annotation(category_id=None), *WORD),
    ('annotation id as text', annotation(id='7'), 'wrong type', "id is the text '7'", "id is the text '7'"),
    ('annotation id a list', annotation(id=[1, 2]), *WORD),
    ('file name a number', first('images', file_name=7), 'wrong type', 'expected the name of a file', 'expected the name of a file'),
    ('file name empty', first('images', file_name=''), 'wrong type', 'expected the name of a file', 'expected the name of a file'),
    ('file name null byte', first('images', file_name='a\0.jpg'), 'wrong type', 'expected the name of a file', 'expected the name of a file'),
    ('width as text', first('images', width='128'), 'wrong type', "width is '128'", "width is '128'"),
    ('width a word', first('images', width='wide'), 'wrong type', "width is 'wide'", "width is 'wide'"),
    ('width a list', first('images', width=[128]), 'wrong type', 'width is a list', 'width is a list'),
    ('height NaN', first('images', height=math.nan), 'wrong type', 'height is nan', 'height is nan'),
    ('height negative', first('images', height=-96), 'wrong type', 'height is -96', 'height is -96'),
    ('area as text', annotation(area='30'), 'wrong type', "area is '30'", "area is '30'"),
    ('area NaN', annotation(area=math.nan), 'wrong type', 'area is nan', 'area is nan'),
    ('area null', annotation(area=None), 'wrong type', 'area is None', 'area is None'),
    ('area negative', annotation(area=-5), 'wrong area', 'area is -5', None),
    ('crowd a word', annotation(iscrowd='no'), 'wrong type', 'expected 0 or 1', 'expected 0 or 1'),
    ('bbox of texts', annotation(bbox=['1', '2', '30', '40']), 'wrong type', 'bbox holds text', 'bbox holds text'),
    ('bbox null', annotation(bbox=None), *NUMBERS),
    ('bbox of 3', annotation(bbox=[1, 2, 3]), *NUMBERS),
    ('bbox of 5', annotation(bbox=[1, 2, 3, 4, 5]), *NUMBERS),
    ('bbox of lists', annotation(bbox=[[1], [2], [3], [4]]), *NUMBERS),
    ('bbox a dictionary', annotation(bbox={'x': 1}), *NUMBERS),
    ('bbox with true', annotation(bbox=[1, 2, 3, True]), *NUMBERS),
    ('bbox NaN', annotation(bbox=[1, math.nan, 3, 4]), *NONFINITE),
    ('bbox infinite', annotation(bbox=[1, 2, math.inf, 4]), *NONFINITE),
    ('bbox overflows', annotation(bbox=[1e308, 2, 1e308, 4]), *NONFINITE),
    ('bbox without end', annotation(bbox=[1, 2, 10**400, 4]), 'box of NaN', 'too large', None),
    ('box to the right', annotation(bbox=[120, 5, 20, 20]), *BEYOND),
    ('box to the left', annotation(bbox=[-9, 5, 20, 20]), *BEYOND),
    ('box far outside', annotation(bbox=[900, 900, 20, 20]), *BEYOND),
    ('box inverted', annotation(bbox=[50, 50, -20, 20]), 'inverted box', 'runs from (50, 50) to (30, 70)', None),
    ('box without width', annotation(bbox=[5, 5, 0, 20]), *NO_AREA),
    ('box without height', annotation(bbox=[5, 5, 20, 0.0]), *NO_AREA),
    ('unknown category', annotation(category_id=99), 'unknown category', 'category_id 99 is not in the file', None),
    ('unknown image', annotation(image_id=99), 'unknown image', 'image_id 99 is not in the file', None),
    ('unused category', coco(lambda c: c['categories'].append({'id': 9, 'name': 'star'})), 'unused category', 'no object of "star"', None),
    ('category twice', coco(lambda c: c['categories'].append({'id': 9, 'name': 'circle'})), 'duplicate category', '2 categories are called "circle"', None),
    ('other categories in train', coco(lambda c: c['categories'].reverse()), 'categories differ', 'the categories of val', None),
    ('image id twice', repeat('images', file_name='b.jpg'), 'duplicate id', 'the id is used again by "b.jpg"', 'are used twice'),
    ('category id twice', repeat('categories', name='star'), 'duplicate id', 'the id is used again by "star"', 'are used twice'),
    ('annotation id twice', repeat('annotations', bbox=[1, 1, 20, 20]), 'duplicate id', 'another annotation has this id', None),
    ('annotation id 0', annotation(id=0), 'annotation id 0', 'take id 0', None),
    ('box twice', repeat('annotations', id=999), 'duplicate box', 'the same box and class as annotation 1', None),
    ('image file twice', repeat('images', id=999), 'duplicate image', 'is image 1 as well', None),
    ('no annotation id', annotation(id=...), 'missing key', 'has no id', None),
    ('no area', annotation(area=...), 'missing key', 'has no area', None),
    ('no crowd flag', annotation(iscrowd=...), 'missing key', 'has no iscrowd', None),
    ('mask a number', mask(5), 'bad mask', 'expected polygons', None),
    ('mask a text', mask('5 5 5'), 'bad mask', 'expected polygons', None),
    ('mask one flat list', mask([5, 5, 50, 5, 50, 50]), 'bad mask', 'polygon 0 is 5; expected a list', None),
    ('polygon of 2 points', mask([[5, 5, 50, 50]]), 'bad mask', 'has 2 different points', None),
    ('polygon of equal points', mask([[5, 5, 50, 50, 5, 5]]), 'bad mask', 'has 2 different points', None),
    ('polygon of odd length', mask([[5, 5, 50, 5, 50, 50, 9]]), 'bad mask', '7 coordinates, an odd number', None),
    ('polygon on a line', mask([[5, 5, 50, 5, 70, 5]]), 'bad mask', 'encloses nothing', None),
    ('polygon outside', mask([[5, 5, 500, 5, 50, 50]]), 'bad mask', 'lies outside of the image (128 x 96)', None),
    ('polygon NaN', mask([[5, 5, math.nan, 5, 50, 50]]), 'bad mask', 'holds nan', None),
    ('polygon of texts', mask([['5', '5', '50', '5', '50', '50']]), 'bad mask', "holds '5'", None),
    ('polygon empty', mask([[]]), 'bad mask', 'has 0 different points', None),
    ('runs without size', mask({'counts': [5]}), 'bad mask', 'run-length mask of size None', None),
    ('runs of another size', mask({'size': [5, 5], 'counts': [25]}), 'bad mask', 'run-length mask of 5 x 5, image of 128 x 96', None),
    ('runs too few', mask({'size': [96, 128], 'counts': [5, 6]}), 'bad mask', 'of 11 pixels', None),
    ('runs negative', mask({'size': [96, 128], 'counts': [-5, 96 * 128 + 5]}), 'bad mask', 'runs from -5 on', None),
    ('runs of texts', mask({'size': [96, 128], 'counts': ['5']}), 'bad mask', 'not whole numbers', None),
    ('runs null', mask({'size': [96, 128], 'counts': None}), 'bad mask', 'counts are None', None),
    ('runs no code', mask({'size': [96, 128], 'counts': '\u4e2d\u6587'}), 'bad mask', 'no compressed runs', None),
    ('runs cut off', mask({'size': [96, 128], 'counts': 'oo'}), 'bad mask', 'end within a run', None),
    ('runs without end', mask({'size': [96, 128], 'counts': 'o' * 99}), 'bad mask', 'no compressed runs', None),
    ('image missing', lambda root: (root / IMAGE).unlink(), *MISSING),
    ('image a folder', lambda root: ((root / IMAGE).unlink(), (root / IMAGE).mkdir()), *MISSING),
    ('image a pipe', pipe, *MISSING),
    ('image a link to itself', link_loop, *MISSING),
    ('file name too long', first('images', file_name='a' * 5000), *MISSING),
    ('file name of half a character', first('images', file_name='\ud800.jpg'), *MISSING),
    ('path upwards', first('images', file_name='../../../secret.jpg'), *OUTSIDE),
    ('absolute path', first('images', file_name='/etc/hostname'), *OUTSIDE),
    ('link out of the folder', linked, 'path outside the folder', 'is a link to', None),
    ('image empty', text(IMAGE, ''), UNREADABLE, 'empty file', PIXELS),
    ('image a page', text(IMAGE, '<html>'), UNREADABLE, 'no image format', PIXELS),
    ('image cut off', cut(IMAGE, 0.6), UNREADABLE, 'truncated', PIXELS),
    ('image nearly whole', cut(IMAGE, 0.98), UNREADABLE, 'truncated', PIXELS),
    ('image a head alone', cut(IMAGE, 0.01), UNREADABLE, IMAGE, PIXELS),
    ('png cut off', as_png(0.6), UNREADABLE, 'truncated', PIXELS),
    ('image of 3.6 gigapixels', bomb, UNREADABLE, 'could be decompression bomb', PIXELS),
    ('image of another size', resized(IMAGE), 'wrong size', 'says 128x96, image 20x30', 'says 128x96, image 20x30'),
    ('image turned by its tag', turned(IMAGE), 'wrong size', 'says 128x96, image 96x128', 'says 128x96, image 96x128'),
    ('image in two splits', copy_across, 'image in two splits', 'the same content in val', None),
]  # fmt: skip


ENTITY = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
LAUGHS = ''.join(
    f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha"}">' for i in range(12)
)
PLAIN = 'unreadable annotations', 'cannot be read as VOC annotation', 'cannot be read'
DOCTYPE = 'unreadable annotations', 'document type declaration', 'document type'
INCOMPLETE = 'wrong structure', 'without <name> or <bndbox>', 'without <name>'

VOC = [
    ('xml empty', text(XML, ''), *PLAIN),
    ('xml cut off', cut(XML, 0.5), *PLAIN),
    ('xml binary', text(XML, bytes(range(256))), *PLAIN),
    ('xml json', text(XML, '{}'), *PLAIN),
    ('xml unknown encoding', text(XML, '<?xml version="1.0" encoding="klingon"?><annotation/>'), *PLAIN),
    ('xml other root', text(XML, '<html/>'), 'unreadable annotations', 'root element is <html>', 'root element is <html>'),
    ('xml of 1 GiB', sparse(XML, 2**30), 'unreadable annotations', 'more than 16 MiB', 'more than 16 MiB'),
    ('xml entity', text(XML, f'{ENTITY}<annotation><filename>&e;</filename></annotation>'), *DOCTYPE),
    ('xml entities of entities', text(XML, f'<!DOCTYPE a [{LAUGHS}]><annotation>&a11;</annotation>'), *DOCTYPE),
    ('xml doctype alone', text(XML, '<!DOCTYPE annotation><annotation/>'), *DOCTYPE),
    ('xml undeclared entity', text(XML, '<annotation>&nbsp;</annotation>'), *PLAIN),
    ('object without name', text(XML, '<annotation><object><bndbox/></object></annotation>'), *INCOMPLETE),
    ('object without box', text(XML, '<annotation><object><name>a</name></object></annotation>'), *INCOMPLETE),
    ('object with empty name', text(XML, '<annotation><object><name> </name><bndbox/></object></annotation>'), *INCOMPLETE),
    ('box without numbers', box(xmin='left'), *NONFINITE),
    ('box with NaN', box(ymax='nan'), *NONFINITE),
    ('box with infinity', box(xmax='1e999'), *NONFINITE),
    ('box with an empty corner', box(ymin=''), *NONFINITE),
    ('box inverted', box(xmin=60), 'inverted box', 'runs from (59, 4) to (49, 49)', None),
    ('box of a line', box(xmin=50), *NO_AREA),
    ('box outside', box(xmax=500), *BEYOND),
    ('box at a huge corner', box(xmax='9' * 15), *BEYOND),
    ('box twice', lambda root: [box()(root), box()(root)], 'duplicate box', 'the same box and class as object', None),
    ('other size', xml('<width>128', '<width>512'), 'wrong size', 'says 512x96, image 128x96', 'says 512x96'),
    ('listed twice as ..', listed('../../secret'), 'missing annotations', 'secret.xml does not exist', 'annotations are missing'),
    ('listed, no file', listed('nothing'), 'missing annotations', 'nothing.xml does not exist', 'annotations are missing'),
    ('listed, name too long', listed('a' * 5000), 'missing annotations', 'does not exist', 'annotations are missing'),
    ('listed outside', lambda root: [(root.parent / 'b.xml').write_text('<annotation/>'), listed('../../b')(root)], *OUTSIDE),
    ('image missing', lambda root: (root / 'JPEGImages/val_000003.jpg').unlink(), *MISSING),
    ('image empty', text('JPEGImages/val_000003.jpg', ''), UNREADABLE, 'empty file', PIXELS),
    ('image cut off', cut('JPEGImages/val_000003.jpg', 0.6), UNREADABLE, 'truncated', PIXELS),
]  # fmt: skip


ALIASES = '\n'.join(
    [f'a0: &a0 [{", ".join("x" * 10)}]']
    + [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]' for i in range(1, 12)]
    + ['names: *a11', 'train: images/train']
)
FORMAT = 'bad line', 'expected `class cx cy width height`', 'expected `class cx cy'
RANGE = 'bad line', 'expected coordinates from 0 to 1', 'expected coordinates'
NO_NAME = 'bad line', 'there are names for 0 to 2 only', 'names for 0 to 2 only'
YAML = 'unreadable annotations', 'cannot be read as yaml', 'cannot be read as yaml'

YOLO = [
    ('line too short', line('0 0.5 0.5 0.1'), *FORMAT),
    ('line with 5 numbers', line('0 0.5 0.5 0.1 0.1 0.9'), *FORMAT),
    ('line of words', line('circle 0.5 0.5 0.1 0.1'), *FORMAT),
    ('line with commas', line('0,0.5,0.5,0.1,0.1'), *FORMAT),
    ('line of bytes', lambda root: (root / LABELS).write_bytes(bytes(range(256))), *FORMAT),
    ('polygon of odd length', line('0 0.1 0.1 0.9 0.1 0.9 0.9 0.5'), *FORMAT),
    ('class without name', line('3 0.5 0.5 0.1 0.1'), *NO_NAME),
    ('class negative', line('-1 0.5 0.5 0.1 0.1'), *NO_NAME),
    ('class a fraction', line('0.5 0.5 0.5 0.1 0.1'), *NO_NAME),
    ('class NaN', line('nan 0.5 0.5 0.1 0.1'), *NO_NAME),
    ('class infinite', line('inf 0.5 0.5 0.1 0.1'), *NO_NAME),
    ('pixels', line('0 64 48 10 10'), *RANGE),
    ('infinite', line('0 inf 0.5 0.1 0.1'), *RANGE),
    ('negative', line('0 -0.5 0.5 0.1 0.1'), *RANGE),
    ('NaN', line('0 nan 0.5 0.1 0.1'), *NONFINITE),
    ('no area', line('0 0.5 0.5 0 0.1'), *NO_AREA),
    ('over the border', line('0 0.9 0.5 0.5 0.1'), 'box outside the image', 'reaches out of the image', None),
    ('twice', line('0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1'), 'duplicate box', 'the same box and class as line', None),
    ('polygon on a line', line('0 0.1 0.5 0.2 0.5 0.9 0.5'), *NO_AREA),
    ('yaml broken', data_yaml('names: [a, b\n'), *YAML),
    ('yaml with code', data_yaml('names: !!python/object/apply:os.getcwd []\n'), *YAML),
    ('yaml with aliases of aliases', data_yaml(ALIASES), *YAML),
    ('yaml nested', data_yaml('names: ' + '[' * 5000), *YAML),
    ('yaml with a wrong tag', data_yaml("names: !!int ''\n"), *YAML),
    ('yaml of 1 GiB', sparse('data.yaml', 2**30), *YAML),
    ('yaml binary', text('data.yaml', b'\xff\xfe\x00names'), *YAML),
    ('names with a gap', data_yaml('names: {0: a, 2: b}\ntrain: images/train\n'), '', 'the keys of names are [0, 2]', 'the keys of names'),
    ('names by mixed keys', data_yaml('names: {0: a, b: b}\ntrain: images/train\n'), '', "the keys of names are [0, 'b']", 'the keys of names'),
    ('names a number', data_yaml('names: 3\ntrain: images/train\n'), '', 'names is 3', 'names is 3'),
    ('names of lists', data_yaml('names: [[a], [b]]\ntrain: images/train\n'), '', 'a name is a list', 'a name is a list'),
    ('train a number', data_yaml('names: [a]\ntrain: 5\n'), '', 'train is a list', 'train is a list'),
    ('train missing', data_yaml('names: [a]\ntrain: pictures\n'), '', "train (['pictures']) does not exist", 'does not exist'),
    ('train name too long', data_yaml(f'names: [a]\ntrain: {"a" * 5000}\n'), '', 'does not exist', 'does not exist'),
    ('train the whole disk', data_yaml('names: [a]\ntrain: /\n'), 'path outside the folder', '/ contains the data folder', 'contains the data folder'),
    ('train without images', lambda root: [(root / 'none').mkdir(), data_yaml('names: [a]\ntrain: none\n')(root)], '', 'no image in', 'no image in'),
    ('list leads out', lambda root: [(root / 'train.txt').write_text('/etc/hostname\n'), data_yaml('names: [a]\ntrain: train.txt\n')(root)], 'path outside the folder', '/etc/hostname is not in', 'lead out of the folder'),
    ('list of missing images', lambda root: [(root / 'train.txt').write_text('images/train/no.jpg\n'), data_yaml('names: [a]\ntrain: train.txt\n')(root)], 'missing image', 'no.jpg does not exist', 'are missing'),
    ('no names', lambda root: without_yaml(root, None), '', 'no class names', 'no class names'),
    ('too few names', lambda root: without_yaml(root, 'circle\nrectangle\n'), 'bad line', 'names for 0 to 1 only', 'names for 0 to 1'),
    ('no text files', lambda root: (root / 'labels').rename(root / 'texts'), 'missing annotations', 'train images has a text file', 'has a text file'),
    ('image cut off', cut(YOLO_IMAGE, 0.5), UNREADABLE, 'truncated', PIXELS),
    ('image empty', text(YOLO_IMAGE, ''), UNREADABLE, 'empty file', PIXELS),
]  # fmt: skip

BAD_INPUTS = [
    BadInput(name, layout, *rest)
    for layout, rows in (('coco', COCO), ('voc', VOC), ('yolo', YOLO))
    for name, *rest in rows
]
