"""One picture in, detections out: mmdet's API, `predict` and `test` agree."""

import json
import pickle
import runpy
from pathlib import Path

import pytest
import torch
from mmdet.apis import inference_detector, init_detector

from mmeff.apis.train import train
from mmeff.config import config_path
from mmeff.datasets import make_shapes

TOOLS = Path(__file__).parents[2] / 'tools'
# SSDLite at full width on small pictures, whose sides are not those of the input.
CONFIG = f"""
_base_ = [{config_path('ssdlite320_mobilenetv2_coco.py')!r}]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = (128, 128)
train_dataloader = dict(
    batch_size=8, num_workers=0, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4, num_workers=0, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
quick = dict(momentum=0.1)  # statistics follow within a few steps
model = dict(
    backbone=dict(norm_cfg=quick),
    neck=dict(norm_cfg=quick),
    bbox_head=dict(
        norm_cfg=quick,
        prior_prob=0.1,
        anchor_generator=dict(
            strides=[16, 32, 64, 128, 128, 128], input_size=128)))
train_cfg = dict(max_epochs=15, val_begin=99)
default_hooks = dict(checkpoint=dict(interval=15, save_best=None))
param_scheduler = []
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=0.004, weight_decay=0.05))
auto_scale_lr = dict(enable=False)
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    """Work dir of a short training."""
    folder = tmp_path_factory.mktemp('same')
    data = make_shapes(folder / 'shapes', 16, 6, (96, 120))
    (folder / 'ssdlite.py').write_text(CONFIG)
    train(folder / 'ssdlite.py', work_dir=folder / 'run', data=data)
    return folder / 'run'


def tool(name: str, *arguments) -> None:
    runpy.run_path(str(TOOLS / f'{name}.py'))['main'](list(map(str, arguments)))


def test_three_ways_give_the_same_detections(trained, tmp_path):
    files = trained / 'ssdlite.py', trained / 'epoch_15.pth'
    tool('test', *files, '--work-dir', tmp_path, '--out', tmp_path / 'raw.pkl')
    tested = pickle.loads((tmp_path / 'raw.pkl').read_bytes())
    assert len(tested) == 6
    pictures = [sample['img_path'] for sample in tested]
    threshold = ('--pred-score-thr', 0, '--no-save-vis')
    tool('predict', *files, *pictures, '--out-dir', tmp_path, *threshold)
    written = json.loads((tmp_path / 'predictions.json').read_text())['annotations']
    model = init_detector(str(files[0]), str(files[1]), device='cpu')
    for i, sample in enumerate(tested):
        expected = inference_detector(model, sample['img_path']).pred_instances
        assert len(expected) > 20
        assert len(expected.labels.unique()) > 1
        found = sample['pred_instances']
        torch.testing.assert_close(found['scores'], expected.scores)
        torch.testing.assert_close(found['bboxes'], expected.bboxes, rtol=0, atol=1e-3)
        assert torch.equal(found['labels'], expected.labels)

        mine = [box for box in written if box['image_id'] == i + 1]
        scores = torch.tensor([box['score'] for box in mine])
        boxes = torch.tensor([box['bbox'] for box in mine])
        boxes[:, 2:] += boxes[:, :2]
        labels = [box['category_id'] - 1 for box in mine]
        torch.testing.assert_close(scores, expected.scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(boxes, expected.bboxes, rtol=0, atol=2e-3)
        assert labels == expected.labels.tolist()
