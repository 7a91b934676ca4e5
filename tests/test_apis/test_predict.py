"""Predictions on all kinds of inputs, against mmdet's own `inference_detector`."""

import json
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

import mmeff
from mmeff.apis.config import load_config
from mmeff.apis.detector import build_detector
from mmeff.apis.predict import iter_predictions, predict
from mmeff.errors import UserError

CLASSES = ['circle', 'square', 'triangle']
DATA = os.environ.get('MMEFF_DATA')

PIPELINE = """
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
test_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=test_pipeline))
"""
RETINANET = (
    """
default_scope = 'mmdet'
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[110, 110, 110], std=[60, 60, 60],
        bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(type='mmeff.VoVNet', arch='v2-19-slim-dw', out_indices=(1, 2, 3)),
    neck=dict(type='FPN', in_channels=[256, 384, 512], out_channels=16, num_outs=3),
    bbox_head=dict(
        type='RetinaHead', num_classes=3, in_channels=16, feat_channels=16,
        stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1,
            ratios=[1.0], strides=[8, 16, 32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss')),
    test_cfg=dict(nms_pre=100, min_bbox_size=0, score_thr=0.0,
                  nms=dict(type='nms', iou_threshold=0.3), max_per_img=8))
"""
    + PIPELINE
)
MASK_RCNN = (
    f'_base_ = [{mmeff.config_path("vovnet39_maskrcnn.py")!r}]'
    """
model = dict(
    backbone=dict(arch='v2-19-slim-dw', norm_cfg=dict(_delete_=True, type='BN')),
    neck=dict(in_channels=[112, 256, 384, 512], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(
            in_channels=32, conv_out_channels=32, fc_out_channels=64, num_classes=3),
        mask_roi_extractor=dict(out_channels=32),
        mask_head=dict(
            num_convs=1, in_channels=32, conv_out_channels=32, num_classes=3)),
    test_cfg=dict(
        rpn=dict(max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=6)))
""" + PIPELINE.replace('dict(dataset', 'dict(_delete_=True, dataset')
)


def make_detector(folder: Path, config: str) -> tuple[str, str]:
    """Config and checkpoint of a detector whose scores differ from box to box."""
    path, weights = folder / 'config.py', folder / 'weights.pth'
    path.write_text(config)
    model = build_detector(load_config(path), device='cpu')
    generator = torch.Generator().manual_seed(0)
    head = getattr(model, 'bbox_head', None)
    layer = head.retina_cls if head is not None else model.roi_head.bbox_head.fc_cls
    layer.weight.data.normal_(0, 2.0, generator=generator)
    meta = {'dataset_meta': {'classes': CLASSES, 'palette': [(200, 0, 0)] * 3}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, weights)
    return str(path), str(weights)


@pytest.fixture(scope='module')
def retinanet(tmp_path_factory):
    return make_detector(tmp_path_factory.mktemp('retinanet'), RETINANET)


@pytest.fixture(scope='module')
def mask_rcnn(tmp_path_factory):
    return make_detector(tmp_path_factory.mktemp('mask_rcnn'), MASK_RCNN)


@pytest.fixture(scope='module')
def model(retinanet):
    return build_detector(load_config(retinanet[0]), retinanet[1], 'cpu')


def picture(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Coloured blobs, BGR."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def save_video(path: Path, frames: list[np.ndarray], rate: float = 10) -> Path:
    height, width = frames[0].shape[:2]
    code = cv2.VideoWriter_fourcc(*('mp4v' if path.suffix == '.mp4' else 'MJPG'))
    video = cv2.VideoWriter(str(path), code, rate, (width, height))
    for frame in frames:
        video.write(frame)
    video.release()
    return path


def read_video(path: Path) -> list[np.ndarray]:
    video, frames = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        frames.append(read[1])
    return frames


def run(detector, inputs, out_dir, **kwargs):
    kwargs = {'pred_score_thr': 0.0, 'device': 'cpu'} | kwargs
    return predict(*detector, inputs, out_dir, **kwargs)


def names(summary) -> list[str]:
    return [image['file_name'] for image in summary.coco['images']]


def drawn_files(out_dir: Path) -> list[str]:
    found = (out_dir / 'vis').rglob('*')
    return sorted(
        f.relative_to(out_dir / 'vis').as_posix() for f in found if f.is_file()
    )


def assert_same_instances(found, expected, masks: bool = False) -> None:
    assert len(expected.scores) > 0
    for key in ('bboxes', 'scores', 'labels', *(['masks'] if masks else [])):
        assert torch.equal(found[key], expected[key])


def assert_json_holds(annotations, instances) -> None:
    assert [a['category_id'] - 1 for a in annotations] == instances.labels.tolist()
    scores = [a['score'] for a in annotations]
    np.testing.assert_allclose(scores, instances.scores, atol=1e-6)
    boxes = np.array([a['bbox'] for a in annotations])
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(boxes, instances.bboxes, atol=2e-3)


def test_boxes_equal_inference_detector(retinanet, model, tmp_path):
    file = save(tmp_path / 'a.jpg', picture(0, 90, 131))
    expected = inference_detector(model, str(file)).pred_instances
    ((name, sample),) = iter_predictions(model, file)
    assert name == 'a.jpg'
    assert sample.img_path == str(file)
    assert_same_instances(sample.pred_instances, expected)
    summary = run(retinanet, str(file), tmp_path / 'out')
    assert_json_holds(summary.coco['annotations'], expected)


def test_array_gives_what_its_file_gives(model, tmp_path):
    image = picture(1)
    file = save(tmp_path / 'a.png', image)
    (first, from_file), (second, from_array) = iter_predictions(model, [file, image])
    assert (first, second) == ('a.png', 'array_000001')
    assert_same_instances(from_array.pred_instances, from_file.pred_instances)


def test_batches_of_equal_images_change_no_results(model, tmp_path):
    images = [picture(seed) for seed in range(5)]
    single = [sample for _, sample in iter_predictions(model, images)]
    batched = [sample for _, sample in iter_predictions(model, images, batch_size=2)]
    assert len(single) == len(batched) == 5
    for one, other in zip(single, batched, strict=True):
        for key in ('bboxes', 'scores', 'labels'):
            found, expected = other.pred_instances[key], one.pred_instances[key]
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


def test_json_is_a_coco_file(retinanet, tmp_path):
    save(tmp_path / 'in/b.png', picture(0, 60, 80))
    save(tmp_path / 'in/a.jpg', picture(1, 80, 60))
    summary = run(retinanet, tmp_path / 'in', tmp_path / 'out')
    coco = COCO(str(tmp_path / 'out/predictions.json'))
    assert coco.dataset == summary.coco
    assert [c['name'] for c in coco.loadCats([1, 2, 3])] == CLASSES
    assert [
        (i['file_name'], i['width'], i['height']) for i in coco.loadImgs([1, 2])
    ] == [
        ('a.jpg', 60, 80),
        ('b.png', 80, 60),
    ]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=2))
    assert len(annotations) > 0
    for annotation in annotations:
        _, _, width, height = annotation['bbox']
        assert annotation['area'] == pytest.approx(width * height, abs=0.2)
    assert len(coco.loadRes(annotations).anns) == len(annotations)


def test_masks_are_run_lengths_of_the_original_size(mask_rcnn, tmp_path):
    file = save(tmp_path / 'a.jpg', picture(0, 90, 131))
    model = build_detector(load_config(mask_rcnn[0]), mask_rcnn[1], 'cpu')
    expected = inference_detector(model, str(file)).pred_instances
    ((_, sample),) = iter_predictions(model, file)
    assert_same_instances(sample.pred_instances, expected, masks=True)
    run(mask_rcnn, file, tmp_path / 'out')
    coco = COCO(str(tmp_path / 'out/predictions.json'))
    annotations = coco.dataset['annotations']
    assert_json_holds(annotations, expected)
    for annotation, mask in zip(annotations, expected.masks, strict=True):
        assert annotation['segmentation']['size'] == [90, 131]
        assert (coco.annToMask(annotation) == mask.numpy()).all()
        assert mask_utils.area(annotation['segmentation']) == annotation['area']
    assert cv2.imread(str(tmp_path / 'out/vis/a.jpg')).shape == (90, 131, 3)


def test_threshold_applies_to_json_and_pictures(retinanet, tmp_path):
    file = save(tmp_path / 'a.png', picture(0))
    everything = run(retinanet, file, tmp_path / 'all')
    scores = sorted(a['score'] for a in everything.coco['annotations'])
    threshold = (scores[-2] + scores[-1]) / 2
    summary = run(retinanet, file, tmp_path / 'one', pred_score_thr=threshold)
    assert [a['score'] for a in summary.coco['annotations']] == scores[-1:]
    assert summary.num_boxes == 1 < everything.num_boxes
    nothing = run(retinanet, file, tmp_path / 'none', pred_score_thr=1.0)
    assert nothing.num_boxes == 0
    changed = []
    for folder in ('all', 'one', 'none'):
        drawn = cv2.imread(str(tmp_path / folder / 'vis/a.jpg')).astype(int)
        changed.append((abs(drawn - picture(0)).max(2) > 40).sum())
    assert changed[0] > changed[1] > changed[2] == 0


def test_folder_keeps_nested_names_apart(retinanet, tmp_path):
    for seed, name in enumerate(
        ['x.jpg', 'x.png', 'p/x.jpg', 'p/q/x.jpg', 'é 写真.JPG']
    ):
        save(tmp_path / 'in' / name, picture(seed))
    (tmp_path / 'in/notes.txt').write_text('no picture')
    (tmp_path / 'in/._x.jpg').write_text('of a Mac')
    summary = run(retinanet, tmp_path / 'in', tmp_path / 'out')
    assert names(summary) == ['x.jpg', 'x.png', 'é 写真.JPG', 'p/x.jpg', 'p/q/x.jpg']
    assert drawn_files(tmp_path / 'out') == sorted(
        ['x.jpg', 'x.png.jpg', 'é 写真.jpg', 'p/x.jpg', 'p/q/x.jpg']
    )
    assert summary.failures == ()


def test_glob_and_list_of_inputs(retinanet, tmp_path):
    for name in ('a/1.jpg', 'a/2.jpg', 'b/1.jpg'):
        save(tmp_path / name, picture(0))
    settings = {'draw': False, 'save_json': False}
    pattern = run(retinanet, f'{tmp_path}/*/1.jpg', tmp_path / 'out', **settings)
    assert names(pattern) == ['a/1.jpg', 'b/1.jpg']
    inputs = [tmp_path / 'b/1.jpg', tmp_path / 'a', tmp_path / 'a/2.jpg']
    several = run(retinanet, inputs, tmp_path / 'out', **settings)
    assert names(several) == ['b/1.jpg', 'a/1.jpg', 'a/2.jpg']
    assert not (tmp_path / 'out').exists()


def test_brackets_in_an_existing_name_are_no_pattern(model, tmp_path):
    file = save(tmp_path / 'shot [1].jpg', picture(0))
    assert [name for name, _ in iter_predictions(model, str(file))] == ['shot [1].jpg']


def test_second_run_does_not_take_drawn_pictures_as_inputs(retinanet, tmp_path):
    save(tmp_path / 'a.jpg', picture(0))
    for _ in range(2):
        summary = run(retinanet, tmp_path, tmp_path / 'outputs')
        assert names(summary) == ['a.jpg']


def test_a_picture_never_overwrites_its_source(retinanet, tmp_path):
    file = save(tmp_path / 'vis/a.jpg', picture(0))
    before = file.read_bytes()
    with pytest.raises(UserError, match='overwrite'):
        run(retinanet, file, tmp_path)
    assert file.read_bytes() == before


def test_exif_orientation_turns_model_input_picture_and_sizes(
    retinanet, model, tmp_path
):
    upright = picture(0, 128, 96)
    file = tmp_path / 'turned.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    lying = np.ascontiguousarray(np.rot90(upright[..., ::-1]))
    Image.fromarray(lying).save(file, exif=exif, quality=95)
    summary = run(retinanet, file, tmp_path / 'out', pred_score_thr=1.0)
    assert (
        summary.coco['images'][0]['width'],
        summary.coco['images'][0]['height'],
    ) == (
        96,
        128,
    )
    drawn = cv2.imread(str(tmp_path / 'out/vis/turned.jpg')).astype(int)
    assert drawn.shape == upright.shape
    assert abs(drawn - upright).mean() < 5
    expected = inference_detector(model, str(file)).pred_instances
    ((_, sample),) = iter_predictions(model, file)
    assert_same_instances(sample.pred_instances, expected)


def test_video_gives_annotated_video_and_boxes_per_frame(retinanet, model, tmp_path):
    file = save_video(tmp_path / 'clip.mp4', [picture(seed) for seed in range(5)])
    still = save(tmp_path / 'still.jpg', picture(9))
    summary = run(retinanet, [file, still], tmp_path / 'out', batch_size=2)
    assert names(summary) == [*(f'clip.mp4/00000{i}' for i in range(5)), 'still.jpg']
    images = summary.coco['images']
    assert [(i['video_id'], i['frame_id']) for i in images[:5]] == [
        (1, index) for index in range(5)
    ]
    assert summary.coco['videos'] == [{'id': 1, 'name': 'clip.mp4', 'fps': 10.0}]
    assert drawn_files(tmp_path / 'out') == ['clip.mp4', 'still.jpg']
    drawn, frames = read_video(tmp_path / 'out/vis/clip.mp4'), read_video(file)
    assert len(drawn) == 5
    assert drawn[0].shape == frames[0].shape
    assert all(
        (abs(d.astype(int) - f) > 60).any() for d, f in zip(drawn, frames, strict=True)
    )
    expected = inference_detector(model, frames[3]).pred_instances
    annotations = [a for a in summary.coco['annotations'] if a['image_id'] == 4]
    np.testing.assert_allclose(
        [a['score'] for a in annotations], expected.scores, atol=1e-4
    )


def test_cut_video_keeps_its_readable_frames(retinanet, tmp_path):
    file = save_video(tmp_path / 'clip.avi', [picture(seed) for seed in range(20)])
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    summary = run(retinanet, file, tmp_path / 'out', draw=False)
    assert 0 < summary.num_images < 20
    (failure,) = summary.failures
    assert f'only {summary.num_images} of 20 frames' in failure


def huge_png(path: Path) -> Path:
    """A PNG of 100 bytes whose header promises 30000 x 30000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack('>I', zlib.crc32(kind + data))
        return struct.pack('>I', len(data)) + kind + data + crc

    header = chunk(b'IHDR', struct.pack('>IIBBBBB', 30000, 30000, 8, 2, 0, 0, 0))
    data = chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + header + data)
    return path


def test_unreadable_images_are_listed_and_the_others_done(retinanet, tmp_path):
    folder = tmp_path / 'in'
    good = save(folder / 'b.jpg', picture(0))
    save(folder / 'z.jpg', picture(1))
    (folder / 'cut.jpg').write_bytes(good.read_bytes()[:-600])
    (folder / 'empty.png').touch()
    (folder / 'text.bmp').write_text('not a picture')
    huge_png(folder / 'huge.png')
    summary = run(retinanet, folder, tmp_path / 'out', batch_size=2)
    assert names(summary) == ['b.jpg', 'z.jpg']
    assert drawn_files(tmp_path / 'out') == ['b.jpg', 'z.jpg']
    saved = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert len(saved['images']) == 2
    failures = [failure.replace(f'{folder}/', '') for failure in summary.failures]
    expected = ['cut.jpg: cannot be decoded', 'empty.png: an empty file']
    expected += ['huge.png: Image size (900000000 pixels) exceeds limit']
    expected += ['text.bmp: its 13 bytes are no picture']
    assert len(failures) == 4
    for failure, start in zip(failures, expected, strict=True):
        assert failure.startswith(start)


def test_single_unreadable_image_is_an_error(retinanet, model, tmp_path):
    file = tmp_path / 'a.jpg'
    file.write_bytes(b'nothing')
    with pytest.raises(UserError, match=r'a\.jpg.*7 bytes are no picture.*expected'):
        run(retinanet, file, tmp_path / 'out')
    assert not (tmp_path / 'out/predictions.json').exists()
    with pytest.raises(UserError, match='no picture'):
        list(iter_predictions(model, file))


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ('missing.jpg', r'missing\.jpg: no such file or folder'),
        ('*.webp', r'\*\.webp: nothing has such a name'),
        ('empty', 'empty: no images in there; found no files at all'),
        ('texts', r'texts: no images in there; found 1 \.mp4, 2 \.txt'),
        ([], 'no inputs'),
        (np.zeros((4, 4), np.uint8), r'shape \(4, 4\).*expected \(height, width, 3\)'),
        (np.zeros((4, 4, 3)), 'float64'),
    ],
)
def test_wrong_inputs_have_a_message(model, tmp_path, monkeypatch, inputs, message):
    monkeypatch.chdir(tmp_path)
    for folder in ('empty', 'texts'):
        Path(folder).mkdir()
    for name in ('a.txt', 'b.txt', 'c.mp4'):
        Path('texts', name).touch()
    with pytest.raises(UserError, match=message):
        list(iter_predictions(model, inputs))


def test_missing_checkpoint_has_a_message(retinanet, tmp_path):
    file = save(tmp_path / 'a.jpg', picture(0))
    with pytest.raises(UserError, match=r'none\.pth'):
        run((retinanet[0], 'none.pth'), file, tmp_path / 'out')


def test_out_dir_that_is_a_file_has_a_message(retinanet, tmp_path):
    file = save(tmp_path / 'a.jpg', picture(0))
    with pytest.raises(UserError, match='--out-dir'):
        run(retinanet, file, file)


def test_classes_without_names_are_numbered(retinanet, tmp_path):
    weights = torch.load(retinanet[1])['state_dict']
    torch.save(weights, tmp_path / 'bare.pth')
    cfg = load_config(retinanet[0])
    cfg.test_dataloader.dataset.metainfo = {
        'classes': ['circle'],
        'palette': [(9, 9, 9)],
    }
    file = save(tmp_path / 'a.jpg', picture(0))
    summary = run((cfg, tmp_path / 'bare.pth'), file, tmp_path / 'out')
    labels = {a['category_id'] for a in summary.coco['annotations']}
    assert max(labels) > 1
    categories = [c['name'] for c in summary.coco['categories']]
    assert categories == ['circle', 'class_1', 'class_2'][: max(labels)]


@pytest.mark.skipif(not DATA, reason='MMEFF_DATA is not set')
def test_real_images_equal_inference_detector(retinanet, model, tmp_path):
    cells = sorted(Path(DATA, 'bccd').rglob('*.jpg'))[:3]
    files = cells + sorted(Path(DATA, 'coco128').rglob('*.jpg'))[:3]
    assert len(files) == 6
    summary = run(retinanet, files, tmp_path / 'out')
    for image, file in zip(summary.coco['images'], files, strict=True):
        with Image.open(file) as opened:
            assert (image['width'], image['height']) == opened.size
        annotations = summary.coco['annotations']
        mine = [a for a in annotations if a['image_id'] == image['id']]
        assert_json_holds(mine, inference_detector(model, str(file)).pred_instances)
