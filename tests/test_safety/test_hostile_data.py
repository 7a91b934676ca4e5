"""Data folders that attack who checks or trains on them; nothing here needs torch."""

import json
import os
import runpy
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from mmeff.apis.convert_data import convert_data
from mmeff.datasets import files as data_files
from mmeff.datasets import image_files, read_folder
from mmeff.datasets.check import check_folder
from mmeff.datasets.image_files import read_sizes
from mmeff.errors import UserError

from hostile import entities, png, postscript, text_bomb

SECONDS = 60  # more is a hang, even where other programs run


@pytest.fixture
def coco_of(tmp_path):
    """coco_of(text) -> a folder with one picture and this annotation file."""

    def make(text: str | bytes) -> Path:
        root = tmp_path / 'data'
        (root / 'train').mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (16, 16)).save(root / 'train' / 'a.png')
        (root / 'annotations').mkdir(exist_ok=True)
        file = root / 'annotations' / 'instances_train.json'
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return root

    return make


@pytest.fixture
def voc_of(tmp_path):
    def make(text: str | bytes) -> Path:
        root = tmp_path / 'data'
        (root / 'Annotations').mkdir(parents=True)
        (root / 'JPEGImages').mkdir()
        Image.new('RGB', (16, 16)).save(root / 'JPEGImages' / 'a.png')
        content = text.encode() if isinstance(text, str) else text
        (root / 'Annotations' / 'a.xml').write_bytes(content)
        return root

    return make


@pytest.fixture
def yolo_of_yaml(tmp_path):
    def make(text: str) -> Path:
        root = tmp_path / 'data'
        (root / 'images').mkdir(parents=True)
        Image.new('RGB', (16, 16)).save(root / 'images' / 'a.png')
        (root / 'data.yaml').write_text(text)
        return root

    return make


def refused(root: Path, text: str, cache: Path) -> None:
    """Training refuses the folder and the check tells the defect; nothing is written."""
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        read_folder(root, cache)
    message = str(error.value)
    assert text in message
    assert message.isprintable()
    assert not cache.exists()
    try:
        defects = [str(defect) for defect in check_folder(root).defects]
    except UserError as unusable:
        defects = [str(unusable)]
    assert any(text in defect for defect in defects)
    assert time.monotonic() - start < SECONDS


# ----------------------------------------------------------------------------- texts


def coco(**changes) -> str:
    content = {
        'images': [{'id': 1, 'file_name': 'a.png', 'width': 16, 'height': 16}],
        'annotations': [
            {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 5, 5]}
        ],
        'categories': [{'id': 1, 'name': 'cat'}],
    }
    return json.dumps({**content, **changes})


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        ('[' * 3_000_000, 'cannot be read as json'),
        ('{"a":' * 500_000, 'cannot be read as json'),
        (f'[{"9" * 100_000}]', 'cannot be read as json'),
        (b'\xff\xfe{' * 10, 'cannot be read as json'),
        (b'\0' * 1000, 'cannot be read as json'),
        (
            coco(images=[{'id': 10**400, 'file_name': 'a.png'}]),
            'expected a whole number',
        ),
        (
            coco(images=[{'id': 1, 'file_name': 'a.png\0'}]),
            'expected the name of a file',
        ),
    ],
    ids=['lists', 'objects', 'digits', 'utf16', 'zeros', 'id', 'nul'],
)
def test_json(coco_of, tmp_path, little_memory, content, text):
    refused(coco_of(content), text, tmp_path / 'cache')


def test_json_whose_content_is_larger_than_the_memory(coco_of, tmp_path, monkeypatch):
    """Each empty object takes twenty times the memory of its text."""

    class Memory:
        available = 2**27

    monkeypatch.setattr(data_files.psutil, 'virtual_memory', Memory)
    bomb = f'{{"images": [{"{}," * 2**20}{{}}], "categories": []}}'
    assert len(bomb) < 2**22
    text = 'its content takes up to 0.2 GiB of memory, 0.1 GiB are free'
    refused(coco_of(bomb), text, tmp_path / 'cache')


@pytest.mark.parametrize('name', ['annotations/instances_train.json', 'data.yaml'])
def test_pipes_and_devices_are_not_waited_for(coco_of, tmp_path, name):
    root = coco_of(coco())
    (root / 'annotations' / 'instances_train.json').unlink()
    os.mkfifo(root / name)
    with pytest.raises(UserError, match=r'no annotations found|no regular file'):
        read_folder(root, tmp_path / 'cache')
    (root / name).unlink()
    (root / name).symlink_to('/dev/zero')
    with pytest.raises(UserError, match=r'no annotations found|no regular file'):
        read_folder(root, tmp_path / 'cache')


def test_image_that_is_a_pipe(coco_of, tmp_path):
    root = coco_of(coco())
    (root / 'train' / 'a.png').unlink()
    os.mkfifo(root / 'train' / 'a.png')
    with pytest.raises(UserError, match='none of its images is found'):
        read_folder(root, tmp_path / 'cache')


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        (entities(), 'document type declaration'),
        (entities().encode('utf-16'), 'document type declaration'),
        (
            '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
            '<annotation>&e;</annotation>',
            'document type declaration',
        ),
        (
            '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><annotation/>',
            'document type declaration',
        ),
        ('<annotation>' + '<a>' * 2_000_000, 'more than 50 elements in each other'),
        (b'<annotation>' + b' ' * 2**24, 'more than 16 MiB'),
        ('<annotation>&#0;</annotation>', 'cannot be read as VOC'),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', 'cannot be read'),
    ],
    ids=['laughs', 'utf16', 'file', 'net', 'deep', 'large', 'nul', 'encoding'],
)
def test_xml(voc_of, tmp_path, little_memory, content, text):
    refused(voc_of(content), text, tmp_path / 'cache')


LAUGHS = 'names: &a0 [cat]\n' + ''.join(
    f'x{i}: &a{i} [{f"*a{i - 1}, " * 10}]\n' for i in range(1, 12)
)


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        (f'{LAUGHS}train: images\n', 'an alias'),
        ('names: &a [*a]\ntrain: images\n', 'an alias'),
        ('names: !!python/object/apply:os.system [touch canary]\n', 'python/object'),
        ('names: !!python/name:os.system\n', 'python/name'),
        ('names: ' + '[' * 100_000, 'cannot be read as yaml'),
        ('# ' + 'x' * 2**20, 'more than 1 MiB'),
    ],
    ids=['laughs', 'itself', 'code', 'name', 'deep', 'large'],
)
def test_yaml(yolo_of_yaml, tmp_path, monkeypatch, little_memory, content, text):
    monkeypatch.chdir(tmp_path)
    refused(yolo_of_yaml(content), text, tmp_path / 'cache')
    assert not (tmp_path / 'canary').exists()


# ---------------------------------------------------------------------------- images


def lying_gif() -> bytes:
    return (
        b'GIF89a'
        + b'\xff\xff\xff\xff'
        + b'\0\0\0,'
        + bytes(4)
        + b'\xff\xff\xff\xff'
        + bytes(20)
    )


def lying_bmp() -> bytes:
    head = (60_000).to_bytes(4, 'little') * 2
    return b'BM' + bytes(8) + b'\x36\0\0\0\x28\0\0\0' + head + b'\1\0\x18\0' + bytes(24)


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize(
    ('content', 'text'),
    [
        (png(60_000, 60_000), 'exceeds limit'),
        (png(10_000, 10_000), '10000x10000 pixels are more than 89 million'),
        (lying_gif(), 'exceeds limit'),
        (lying_bmp(), 'exceeds limit'),
        (text_bomb(), 'too large'),
        (postscript(Path('canary')), 'no image format that is read'),
    ],
    ids=['60000', '10000', 'gif', 'bmp', 'text', 'program'],
)
def test_images(coco_of, tmp_path, monkeypatch, little_memory, content, text, decode):
    monkeypatch.chdir(tmp_path)
    root = coco_of(coco())
    (root / 'train' / 'a.png').write_bytes(content)
    with pytest.raises(UserError, match=text):
        read_sizes([root / 'train' / 'a.png'], root)
    check = check_folder(root, decode=decode)
    assert check.totals['unreadable image'] == 1
    assert not (tmp_path / 'canary').exists()


def test_many_large_images_are_decoded_one_after_the_other(
    tmp_path, little_memory, monkeypatch
):
    """Eight threads with 89 megapixels each would take more than 2 GB."""
    Image.new('RGB', (6000, 5000)).save(tmp_path / 'a.tif', compression='packbits')
    monkeypatch.setattr(image_files, 'FEW', 0)
    sizes = read_sizes([tmp_path / 'a.tif'] * 16, tmp_path)
    assert sizes == [(6000, 5000)] * 16


# ----------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    'name',
    ['../../secret.png', '/etc/hostname', 'x/../../../secret.png', '../../data2/a.png'],
)
def test_names_that_lead_out_of_the_folder(coco_of, tmp_path, name):
    Image.new('RGB', (16, 16)).save(tmp_path / 'secret.png')
    root = coco_of(
        coco(images=[{'id': 1, 'file_name': 'a.png'}, {'id': 2, 'file_name': name}])
    )
    with pytest.raises(UserError, match=r'lead out of the folder|images are missing'):
        read_folder(root, tmp_path / 'cache')
    with pytest.raises(UserError):
        convert_data(root, tmp_path / 'copy', 'coco')
    assert not (tmp_path / 'copy').exists()
    assert 'path outside the folder' in check_folder(root).totals


def test_links_that_lead_out_are_told(coco_of, tmp_path):
    Image.new('RGB', (16, 16)).save(tmp_path / 'secret.png')
    root = coco_of(coco())
    (root / 'train' / 'a.png').unlink()
    (root / 'train' / 'a.png').symlink_to(tmp_path / 'secret.png')
    assert check_folder(root).totals['path outside the folder'] == 1


def test_names_do_not_steer_the_terminal(coco_of, tmp_path, capsys, monkeypatch):
    evil = '\x1b]0;owned\x07\x1b[2J<script>\n=cmd()'
    content = coco(
        categories=[{'id': 1, 'name': evil}, {'id': 2, 'name': f'{evil}2'}],
        annotations=[{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': evil}],
    )
    tool = Path(__file__).parents[2] / 'tools' / 'check_data.py'
    arguments = [str(coco_of(content)), '--json', str(tmp_path / 'report.json')]
    monkeypatch.setattr(sys, 'argv', [str(tool), *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(tool), run_name='__main__')
    assert end.value.code == 1
    shown = capsys.readouterr().out
    assert 'owned' in shown
    assert all(line.isprintable() for line in shown.splitlines())
    assert json.loads((tmp_path / 'report.json').read_text())['defects']


def test_a_planted_link_is_replaced_and_not_followed(tmp_path):
    other = tmp_path / 'other'
    other.write_text('mine')
    (tmp_path / 'report.json').symlink_to(other)
    data_files.write_json(tmp_path / 'report.json', {})
    assert other.read_text() == 'mine'
    assert (tmp_path / 'report.json').read_text() == '{}'
