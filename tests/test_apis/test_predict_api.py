"""Predictions on all kinds of inputs, against mmdet's own `inference_detector`."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from mmeff.apis.predict import iter_predictions, predict
from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.errors import UserError

from tiny_detectors import (
    CLASSES,
    MASK_RCNN,
    RETINANET,
    huge_png,
    make_detector,
    picture,
    save,
    save_video,
)


@pytest.fixture(scope='module')
def retinanet(tmp_path_factory):
    return make_detector(tmp_path_factory.mktemp('retinanet'), RETINANET)


@pytest.fixture(scope='module')
def mask_rcnn(tmp_path_factory):
    return make_detector(tmp_path_factory.mktemp('mask_rcnn'), MASK_RCNN)


@pytest.fixture(scope='module')
def model(retinanet):
    return build_detector(load_config(retinanet[0]), retinanet[1], 'cpu')


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
        difference = abs(drawn - picture(0)).max(2)
        if folder != 'all':  # many boxes can cover half of it
            assert np.median(difference) < 10  # the colours of the picture are kept
        changed.append((difference > 40).sum())
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
    other = save_video(tmp_path / 'clip.avi', [picture(7, 64, 96)] * 2, rate=5)
    still = save(tmp_path / 'still.jpg', picture(9))
    summary = run(retinanet, [file, other, still], tmp_path / 'out', batch_size=2)
    frames = [f'clip.mp4/00000{i}' for i in range(5)]
    frames += ['clip.avi/000000', 'clip.avi/000001']
    assert names(summary) == [*frames, 'still.jpg']
    images = summary.coco['images']
    assert [(i['video_id'], i['frame_id']) for i in images[:7]] == [
        *((1, index) for index in range(5)),
        *((2, index) for index in range(2)),
    ]
    assert summary.coco['videos'] == [
        {'id': 1, 'name': 'clip.mp4', 'fps': 10.0},
        {'id': 2, 'name': 'clip.avi', 'fps': 5.0},
    ]
    vis = tmp_path / 'out/vis'
    assert drawn_files(tmp_path / 'out') == ['clip.avi.mp4', 'clip.mp4', 'still.jpg']
    assert [frame.shape for frame in read_video(vis / 'clip.avi.mp4')] == [
        (64, 96, 3)
    ] * 2
    originals, drawn = read_video(file), read_video(vis / 'clip.mp4')
    assert len(drawn) == 5
    for original, frame in zip(originals, drawn, strict=True):
        difference = abs(frame.astype(int) - original)
        assert np.median(difference) < 15
        assert (difference > 60).any()
    expected = inference_detector(model, originals[3]).pred_instances
    scores = [a['score'] for a in summary.coco['annotations'] if a['image_id'] == 4]
    np.testing.assert_allclose(scores, expected.scores, atol=1e-4)


def test_cut_video_keeps_its_readable_frames(retinanet, tmp_path):
    file = save_video(tmp_path / 'clip.avi', [picture(seed) for seed in range(20)])
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    summary = run(retinanet, file, tmp_path / 'out', draw=False)
    assert 0 < summary.num_images < 20
    (failure,) = summary.failures
    assert f'only {summary.num_images} of 20 frames' in failure


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
    expected += ['huge.png: Image size (100000000 pixels) exceeds limit']
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


def test_real_images_equal_inference_detector(retinanet, model, real_data, tmp_path):
    cells = sorted((real_data / 'bccd').rglob('*.jpg'))[:3]
    files = cells + sorted((real_data / 'coco128').rglob('*.jpg'))[:3]
    assert len(files) == 6
    summary = run(retinanet, files, tmp_path / 'out')
    for image, file in zip(summary.coco['images'], files, strict=True):
        with Image.open(file) as opened:
            assert (image['width'], image['height']) == opened.size
        annotations = summary.coco['annotations']
        mine = [a for a in annotations if a['image_id'] == image['id']]
        assert_json_holds(mine, inference_detector(model, str(file)).pred_instances)
