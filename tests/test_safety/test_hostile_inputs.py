"""Pictures, videos and configs that attack who predicts on them."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from mmeff.apis.drawing import PictureWriter
from mmeff.config import load_config
from mmeff.deploy.media import find_sources, read_frames
from mmeff.errors import UserError

from hostile import png, postscript, text_bomb


def read(path) -> list:
    return [
        frame for source in find_sources(str(path)) for frame in read_frames(source)
    ]


@pytest.mark.parametrize(
    ('name', 'make', 'text'),
    [
        ('a.png', lambda _: png(60_000, 60_000), 'exceeds limit'),
        ('a.png', lambda _: png(10_000, 10_000), 'exceeds limit'),
        ('a.png', lambda _: text_bomb(), 'cannot be read'),
        ('a.jpg', postscript, 'no picture in a known format'),
        ('a.tif', lambda _: b'II*\0' + b'\xff' * 100, 'a.tif: '),
        ('a.svg', lambda _: b'<svg width="999999" height="999999"/>', 'no picture'),
        ('a.mp4', lambda _: b'#EXTM3U\n#EXTINF:5,\nfile:///etc/passwd\n', 'no frame'),
        ('a.mp4', lambda _: b'ffconcat version 1.0\nfile /etc/passwd\n', 'no frame'),
        ('a.avi', lambda _: b'RIFF' + b'\xff' * 500, 'no frame'),
        ('a%d.mp4', lambda _: b'junk', 'no frame'),
    ],
)
def test_input_that_is_refused(tmp_path, little_memory, name, make, text):
    (tmp_path / name).write_bytes(make(tmp_path / 'canary'))
    with pytest.raises(UserError, match=text):
        read(tmp_path / name)
    assert not (tmp_path / 'canary').exists()


@pytest.fixture
def video(tmp_path):
    path = tmp_path / 'a.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (32, 32))
    for _ in range(3):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()
    return path


def test_video_with_frames_that_are_too_large(video, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(UserError, match='frames of 32x32 are too large'):
        read(video)


def test_video_whose_header_lies_of_its_size(video, little_memory):
    """The decoder goes by the frames themselves."""
    size, huge = (32).to_bytes(4, 'little') * 2, (60_000).to_bytes(4, 'little') * 2
    content = video.read_bytes()
    assert size in content
    video.write_bytes(content.replace(size, huge))
    assert {frame.image.shape for frame in read(video)} == {(32, 32, 3)}


def test_no_input_is_drawn_outside_of_the_folder(tmp_path):
    inputs, out = tmp_path / 'inputs', tmp_path / 'out'
    outside = tmp_path / 'outside.png'
    (inputs / 'sub').mkdir(parents=True)
    for path in (
        outside,
        inputs / 'a.png',
        inputs / 'sub' / '..a.png',
        inputs / '... .png',
    ):
        Image.new('RGB', (8, 8)).save(path)
    (inputs / 'link.png').symlink_to(outside)
    given = [
        str(inputs),
        str(inputs / '..' / 'outside.png'),
        str(inputs / 'sub' / '..a.png'),
    ]
    sources = find_sources(given)
    with PictureWriter(out, sources) as writer:
        for source in sources:
            for frame in read_frames(source):
                writer.write(frame, frame.image)
    made = {path for path in tmp_path.rglob('*') if path.is_file()}
    drawn = {path for path in made if path.suffix == '.jpg'}
    assert len(drawn) == len(sources) >= 4
    assert all(path.resolve().is_relative_to(out) for path in drawn)


# --------------------------------------------------------------------------- configs


@pytest.mark.parametrize('suffix', ['yaml', 'yml'])
def test_tags_in_a_yaml_config_run_nothing(tmp_path, suffix):
    canary, path = tmp_path / 'canary', tmp_path / f'a.{suffix}'
    path.write_text(f'model: !!python/object/apply:os.system ["touch {canary}"]\n')
    with pytest.raises(UserError, match='cannot be read'):
        load_config(path)
    child = tmp_path / 'child.yaml'
    child.write_text(f'_base_: {path.name}\n')
    with pytest.raises(UserError, match='cannot be read'):
        load_config(child)
    assert not canary.exists()


def test_a_config_is_code_in_every_format(tmp_path):
    """Not a promise but the limit that SECURITY.md tells."""
    from mmeff.checkpoints.detector import build_detector

    path, canary = tmp_path / 'a.json', tmp_path / 'canary'
    path.write_text(json.dumps({'model': {'type': 'os.mkdir', 'path': str(canary)}}))
    with pytest.raises((UserError, AttributeError)):
        build_detector(load_config(path), device='cpu')
    assert canary.is_dir()
