"""The predictor on all kinds of inputs, against mmdet's own `inference_detector`."""

import gc
import subprocess
import sys

import cv2
import numpy as np
import psutil
import pytest
import torch
from mmdet.apis import inference_detector
from PIL import Image
from small_detectors import config, detector

from mmeff.deploy import Predictor, export, load, optimize
from mmeff.deploy.media import find_sources, read_frames
from mmeff.errors import UserError

from tiny_detectors import picture, save, save_video


@pytest.fixture(scope='module', params=['ssdlite', 'retinanet'])
def predictor(request) -> Predictor:
    """SSDLite resizes to a square, RetinaNet keeps the ratio."""
    torch.set_num_threads(1)
    model = detector(request.param, keep_ratio=request.param == 'retinanet')
    return Predictor(model)


def assert_same(sample, expected, some=True) -> None:
    if some:
        assert len(expected.pred_instances) > 0
    for key in ('bboxes', 'scores', 'labels'):
        assert torch.equal(sample.pred_instances[key], expected.pred_instances[key])
    wanted = expected.metainfo
    assert sample.metainfo == {**wanted, 'img_path': sample.img_path}


def write(folder, kind: str):
    """An image file of a kind that is not plain 8-bit BGR."""
    colours, file = picture(0, 90, 131), folder / f'{kind}.png'
    if kind == 'grey':
        return save(file, colours[..., 0])
    if kind == 'rgba':
        return save(file, np.dstack([colours, colours[..., 0]]))
    if kind == '16 bit':
        return save(file, colours.astype(np.uint16) * 257 + 100)
    if kind == 'palette':
        Image.fromarray(colours).quantize(16).save(file)
        return file
    if kind == '1x1 pixel':
        return save(file, picture(0, 1, 1))
    if kind == 'long':
        return save(file, picture(0, 3, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    file = file.with_suffix('.jpg')
    Image.fromarray(colours).save(file, exif=exif)
    return file


@pytest.mark.parametrize(
    'kind', ['grey', 'rgba', '16 bit', 'palette', 'turned', '1x1 pixel', 'long']
)
def test_file_gives_what_inference_detector_gives(predictor, tmp_path, kind):
    file = write(tmp_path, kind)
    sample = predictor(file)
    assert sample.img_path == str(file)
    expected = inference_detector(predictor.model, str(file))
    assert_same(sample, expected, some=kind not in ('1x1 pixel', 'long'))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [(), (1,), (3,), (4,)], ids=str)
def test_array_gives_what_its_file_gives(predictor, tmp_path, dtype, channels):
    image = picture(0)[..., [0, 1, 2, 0]].astype(dtype)
    image *= 257 if dtype == np.uint16 else 1
    image = {(): image[..., 0], (1,): image[..., :1]}.get(
        channels, image[..., : len(channels) and channels[0]]
    )
    file = save(tmp_path / 'a.png', np.ascontiguousarray(image))
    sample = predictor(image)
    assert sample.img_path is None
    assert_same(sample, inference_detector(predictor.model, str(file)))


def test_list_and_batch_of_arrays_give_lists(predictor, tmp_path):
    images = np.stack([picture(seed) for seed in range(3)])
    expected = [inference_detector(predictor.model, image) for image in images]
    file = save(tmp_path / 'a.png', images[1])
    for inputs in (images, list(images), (images[0], str(file), images[2])):
        samples = predictor(inputs)
        assert isinstance(samples, list)
        for sample, other in zip(samples, expected, strict=True):
            assert_same(sample, other)
    assert len(predictor([file, file])) == 2
    assert predictor([]) == []


def test_video_and_folder_are_read_one_by_one(predictor, tmp_path):
    clip = save_video(tmp_path / 'a.avi', [picture(seed) for seed in range(4)])
    samples = predictor(clip)
    assert iter(samples) is samples
    (source,) = find_sources(clip)
    for sample, frame in zip(samples, read_frames(source), strict=True):
        assert_same(sample, inference_detector(predictor.model, frame.image))
    save(tmp_path / 'in/a.png', picture(0))
    (sample,) = predictor(tmp_path / 'in')
    assert_same(sample, inference_detector(predictor.model, picture(0)))


def test_stream_gives_frames_with_their_samples(predictor, tmp_path):
    file = save(tmp_path / 'a.png', picture(0))
    clip = save_video(tmp_path / 'a.avi', [picture(1)] * 2)
    frames, samples = zip(*predictor.stream([file, clip]), strict=True)
    assert [frame.name for frame in frames] == [
        *('a.png', 'a.avi/000000', 'a.avi/000001')
    ]
    assert (frames[0].image == picture(0)).all()
    assert_same(samples[0], inference_detector(predictor.model, picture(0)))


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ('missing.jpg', 'missing.jpg: no such file or folder'),
        (['missing.jpg'], 'missing.jpg: no file; expected an image file'),
        (np.zeros((8, 8, 3), np.float32), 'type float32; expected'),
        (np.zeros((2, 8, 8, 3)), 'input 0 is an array of .* type float64; expected'),
        (torch.zeros(3, 8, 8), 'input 0 is a Tensor; expected the path'),
        ([picture(0), None], 'input 1 is a NoneType'),
    ],
)
def test_wrong_inputs_have_a_message(predictor, inputs, message):
    with pytest.raises(UserError, match=message):
        predictor(inputs)


def test_cut_image_and_image_that_vanishes_have_a_message(tmp_path):
    model = Predictor(detector('retinanet', keep_ratio=True))
    file = save(tmp_path / 'cut.jpg', picture(0))
    file.write_bytes(file.read_bytes()[:-600])
    with pytest.raises(UserError, match=r'cut\.jpg: cannot be decoded'):
        model(file)
    long = save(tmp_path / 'long.png', np.zeros((3, 8000, 3), np.uint8))
    with pytest.raises(cv2.error):
        inference_detector(model.model, str(long))
    with pytest.raises(UserError, match=r'long\.png: an image of 8000x3 pixels'):
        model(long)


def test_no_detections_are_an_empty_sample():
    model = detector('ssdlite')
    model.bbox_head.test_cfg.score_thr = 1.0
    sample = Predictor(model)(picture(0))
    assert sample.pred_instances.bboxes.shape == (0, 4)


def test_optimised_detector_keeps_the_short_ways(predictor):
    fast = Predictor(optimize(predictor.model, 'torch'), 'torch')
    image = picture(0, 90, 131)
    found = fast(image).pred_instances
    expected = predictor(image).pred_instances
    assert len(found) == len(expected) > 0
    assert torch.allclose(found.scores, expected.scores, atol=1e-4)
    assert type(fast.model.data_preprocessor).__name__ == 'QuickPreprocessor'
    assert type(predictor.model.data_preprocessor).__name__ == 'DetDataPreprocessor'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp('weights') / 'weights.pth'
    model = detector('ssdlite')
    meta = {'dataset_meta': {'classes': ['circle', 'square', 'triangle']}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, file)
    return file, model


@pytest.mark.parametrize('backend', ['mmdet', 'torch'])
def test_load_builds_what_is_asked_for(weights, backend):
    file, model = weights
    loaded = load(config('ssdlite'), file, backend, device='cpu', threads=1)
    assert loaded.backend == backend
    assert loaded.model.dataset_meta['classes'] == ['circle', 'square', 'triangle']
    found = loaded(picture(0)).pred_instances
    expected = inference_detector(model, picture(0)).pred_instances
    assert len(found) == len(expected) > 0
    assert torch.allclose(found.scores, expected.scores, atol=1e-4)


def test_exported_file_takes_the_place_of_weights(weights, tmp_path):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    model = weights[1]
    (file,) = export(model, tmp_path / 'net.onnx')
    loaded = load(config('ssdlite'), file, device='cpu', threads=1)
    assert loaded.backend == 'onnxruntime'
    found = loaded(picture(0)).pred_instances
    expected = inference_detector(model, picture(0)).pred_instances
    assert len(found) == len(expected) > 0
    assert torch.allclose(found.scores, expected.scores, atol=1e-4)
    with pytest.raises(UserError, match=r'mmdet .* for exported files choose another'):
        load(config('ssdlite'), file, 'mmdet', device='cpu')


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'backend': 'fast'}, "backend 'fast': expected some of mmdet, torch"),
        ({'backend': 'mmdet', 'precision': 'bf16'}, 'mmdet runs .* in fp32; for bf16'),
        ({'backend': 'torch', 'precision': 'int8'}, "precision 'int8'"),
        ({'backend': 'mmdet', 'threads': 0}, '0 threads'),
        ({'backend': 'mmdet', 'checkpoint': 'none.pth'}, 'none.pth'),
    ],
)
def test_wrong_settings_have_a_message(settings, message):
    with pytest.raises(UserError, match=message):
        load(config('ssdlite'), **{'device': 'cpu', **settings})


def test_package_is_light_until_it_is_used():
    code = (
        'import sys, mmeff.deploy; assert "torch" not in sys.modules\n'
        'from mmeff.deploy import load, optimize\n'
        'assert load.__name__ == "load" and optimize.__name__ == "optimize"\n'
        'assert not hasattr(mmeff.deploy, "nothing")'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def growth(predictor: Predictor, count: int) -> float:
    """Part by which the memory of this process grows, after a warm-up."""
    images = [picture(seed, 32 + 4 * seed, 64 - 3 * seed) for seed in range(8)]
    process = psutil.Process()

    def run(number: int) -> int:
        for index in range(number):
            predictor(images[index % 8])
        gc.collect()
        return process.memory_info().rss

    before = run(100)
    return run(count) / before - 1


@pytest.fixture
def light() -> Predictor:
    torch.set_num_threads(1)
    model = detector('ssdlite', height=64, width=64)
    model.bbox_head.test_cfg.nms_pre = 20
    return Predictor(optimize(model, 'torch'), 'torch')


def test_memory_stays_the_same(light):
    assert growth(light, 1000) < 0.02


@pytest.mark.slow
def test_memory_stays_the_same_for_long(light):
    assert growth(light, 10_000) < 0.01
