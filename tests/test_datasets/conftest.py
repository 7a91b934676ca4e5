"""A small generated data set, and the same annotations written in other layouts."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from mmeff.datasets import make_shapes

HEIGHT, WIDTH = 96, 128


@pytest.fixture(scope='session')
def shapes(tmp_path_factory) -> Path:
    """Ten train and five val images of 96 x 128; not to be changed."""
    root = tmp_path_factory.mktemp('data') / 'shapes'
    return make_shapes(root, 10, 5, (HEIGHT, WIDTH), seed=3)


@pytest.fixture
def coco(shapes, tmp_path) -> Path:
    """A COCO folder of its own, to be damaged."""
    root = tmp_path / 'coco'
    for name in ('annotations', 'train', 'val'):
        shutil.copytree(shapes / name, root / name)
    return root


@pytest.fixture
def voc(shapes, tmp_path) -> Path:
    """A VOC folder (not a devkit) of its own, to be damaged."""
    return shutil.copytree(shapes / 'VOC2007', tmp_path / 'voc')


@pytest.fixture
def yolo(shapes, tmp_path) -> Path:
    """A YOLO folder with box lines and data.yaml, to be damaged."""
    return write_yolo(shapes, tmp_path / 'yolo', polygons=False)


@pytest.fixture
def edit():
    """edit(file) -> content; edit(file, content) writes it back."""

    def edit_json(file: Path, content: dict | None = None) -> dict:
        if content is not None:
            file.write_text(json.dumps(content))
        return json.loads(file.read_text())

    return edit_json


@pytest.fixture(scope='session')
def yolo_of():
    return write_yolo


def write_yolo(shapes: Path, root: Path, polygons: bool) -> Path:
    """images/{train,val}, labels/{train,val} and data.yaml from the COCO files."""
    for split in ('train', 'val'):
        coco = json.loads(
            (shapes / 'annotations' / f'instances_{split}.json').read_text()
        )
        shutil.copytree(shapes / split, root / 'images' / split)
        (root / 'labels' / split).mkdir(parents=True)
        for image in coco['images']:
            lines = [
                _yolo_line(annotation, polygons)
                for annotation in coco['annotations']
                if annotation['image_id'] == image['id']
            ]
            name = Path(image['file_name']).with_suffix('.txt')
            (root / 'labels' / split / name).write_text('\n'.join(lines))
    names = {i: category['name'] for i, category in enumerate(coco['categories'])}
    content = {'names': names, 'train': 'images/train', 'val': 'images/val'}
    (root / 'data.yaml').write_text(yaml.safe_dump(content))
    return root


def _yolo_line(annotation: dict, polygons: bool) -> str:
    if polygons:
        pixels = annotation['segmentation'][0]
    else:
        x, y, width, height = annotation['bbox']
        pixels = [x + width / 2, y + height / 2, width, height]
    sides = (WIDTH, HEIGHT)
    parts = [f'{value / sides[i % 2]:.6f}' for i, value in enumerate(pixels)]
    return ' '.join([str(annotation['category_id'] - 1), *parts])


@pytest.fixture(scope='session')
def real_data() -> Path:
    """The folder with bccd/ and coco128/."""
    folder = os.environ.get('MMEFF_DATA')
    if not folder:
        pytest.skip('MMEFF_DATA is not set')
    return Path(folder)
