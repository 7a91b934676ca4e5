"""Finding and reading what is to be predicted on."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmeff.deploy.media import (
    find_sources,
    image_source,
    is_single_image,
    read_frames,
    to_bgr,
)
from mmeff.errors import UserError

from tiny_detectors import picture, save, save_video


def names(inputs, **kwargs) -> list[str]:
    return [source.name for source in find_sources(inputs, **kwargs)]


def test_brackets_in_an_existing_name_are_no_pattern(tmp_path):
    file = save(tmp_path / 'shot [1].jpg', picture(0))
    assert names(str(file)) == ['shot [1].jpg']


def test_pattern_may_match_videos_and_leaves_other_files_out(tmp_path):
    for name in ('a.png', 'b.MP4', 'c.txt', 'd/e.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names(f'{tmp_path}/*') == ['a.png', 'b.MP4']
    assert names(f'{tmp_path}/**/*.[jp][pn]g') == ['a.png', 'd/e.jpg']


def test_relative_names_work_in_a_folder_with_brackets(tmp_path, monkeypatch):
    save(tmp_path / 'run [2]/x/a.jpg', picture(0))
    monkeypatch.chdir(tmp_path / 'run [2]')
    assert names('x/*.jpg') == ['a.jpg']
    assert names(['.', 'x/a.jpg']) == ['x/a.jpg']


def test_ignored_folder_and_hidden_folders_are_left_out(tmp_path):
    for name in ('a.jpg', 'out/vis/a.jpg', '.trash/b.jpg'):
        save(tmp_path / name, picture(0))
    assert names(tmp_path, ignore=tmp_path / 'out/vis') == ['a.jpg']
    assert names(tmp_path) == ['a.jpg', 'out/vis/a.jpg']


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.tif'])
def test_cut_image_is_refused(tmp_path, suffix):
    file = save(tmp_path / f'a{suffix}', picture(0))
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    (source,) = find_sources(file)
    with pytest.raises(UserError, match=f'a{suffix}: '):
        list(read_frames(source))


def test_grey_image_is_read_as_bgr(tmp_path):
    (source,) = find_sources(save(tmp_path / 'a.png', picture(0)[..., 0]))
    (frame,) = read_frames(source)
    assert frame.image.shape == (96, 128, 3)
    assert (frame.image == picture(0)[..., :1]).all()


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ('missing.jpg', r'missing\.jpg: no such file or folder'),
        ('*.webp', r'\*\.webp: nothing has such a name'),
        ('empty', 'empty: no images in there; found no files at all'),
        ('texts', r'texts: no images in there; found 1 \.mp4, 2 \.txt'),
        ([], 'no inputs'),
        (np.zeros(4, np.uint8), r'shape \(4,\).*expected \(height, width, 3\)'),
        (np.zeros((4, 4, 2), np.uint8), r'shape \(4, 4, 2\)'),
        (np.zeros((0, 4, 3), np.uint8), r'empty array of shape \(0, 4, 3\)'),
        (np.zeros((4, 4, 3)), 'type float64; expected .* of uint8'),
        (np.zeros((4, 4), bool), 'type bool; expected .* of uint8'),
        ([None], 'input 0 is a NoneType; expected the path'),
        (3, 'input 0 is a int; expected the path'),
    ],
)
def test_wrong_inputs_have_a_message(tmp_path, monkeypatch, inputs, message):
    monkeypatch.chdir(tmp_path)
    for folder in ('empty', 'texts'):
        Path(folder).mkdir()
    for name in ('a.txt', 'b.txt', 'c.mp4'):
        Path('texts', name).touch()
    with pytest.raises(UserError, match=message):
        find_sources(inputs)


@pytest.mark.parametrize('channels', [(), (1,), (3,), (4,)], ids=str)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_array_becomes_what_opencv_decodes_from_its_png(dtype, channels):
    rng = np.random.default_rng(0)
    limit = np.iinfo(dtype).max
    image = rng.integers(0, limit, (9, 13, *channels), dtype, endpoint=True)
    png = cv2.imencode('.png', image)[1]
    found = to_bgr(image)
    assert found.dtype == np.uint8
    assert (found == cv2.imdecode(png, cv2.IMREAD_COLOR)).all()


def test_array_of_images_gives_one_source_each():
    images = np.stack([picture(0), picture(1)])
    sources = find_sources(images)
    assert [source.name for source in sources] == ['array_000000', 'array_000001']
    assert (sources[1].content == images[1]).all()


def test_one_image_is_told_from_many(tmp_path):
    photo = save(tmp_path / 'a.jpg', picture(0))
    clip = save_video(tmp_path / 'a.avi', [picture(0)])
    assert is_single_image(photo)
    assert is_single_image(picture(0))
    assert not is_single_image(clip)
    assert not is_single_image(tmp_path)
    assert not is_single_image(f'{tmp_path}/*.jpg')


@pytest.mark.parametrize(
    ('name', 'found'), [('a.avi', 'a video'), ('b.jpg', 'no file')]
)
def test_list_of_images_takes_nothing_else(tmp_path, name, found):
    save_video(tmp_path / 'a.avi', [picture(0)])
    with pytest.raises(UserError, match=f'{name}: {found}; expected an image file'):
        image_source(tmp_path / name)
