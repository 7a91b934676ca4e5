"""Samples are drawn as stored and as the pipeline gives them."""

import cv2
import numpy as np
import pytest
from mmengine import Config

from mmeff.apis.browse_dataset import browse_dataset
from mmeff.errors import UserError


def config(root, wrap=lambda dataset: dataset) -> Config:
    """A config that doubles the images of the shapes data."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='Resize', scale=(256, 192), keep_ratio=True),
        dict(type='RandomFlip', prob=1.0),
        dict(type='PackDetInputs'),
    ]
    dataset = dict(
        type='CocoDataset',
        ann_file=str(root / 'annotations' / 'instances_train.json'),
        data_prefix=dict(img=f'{root / "train"}/'),
        metainfo=dict(classes=('circle', 'rectangle', 'triangle')),
        pipeline=pipeline,
    )
    return Config(dict(train_dataloader=dict(dataset=wrap(dataset))))


def test_before_and_after_the_pipeline(shapes, tmp_path):
    files = browse_dataset(tmp_path / 'out', config(shapes), number=4)
    assert sorted(files) == sorted((tmp_path / 'out').iterdir())
    assert len(files) == 9
    stored = cv2.imread(str(tmp_path / 'out' / '000003_train_000003_original.png'))
    plain = cv2.imread(str(shapes / 'train' / 'train_000003.jpg'))
    assert stored.shape == plain.shape == (96, 128, 3)
    changed = (np.abs(stored.astype(int) - plain).max(2) > 20).mean()
    assert 0.01 < changed < 0.9
    after = cv2.imread(str(tmp_path / 'out' / '000003_train_000003_augmented.png'))
    assert after.shape == (192, 256, 3)
    # mirrored: much nearer to the mirrored picture than to the plain one
    large = cv2.resize(plain, (256, 192)).astype(int)
    assert np.abs(after - large[:, ::-1]).mean() < np.abs(after - large).mean()
    assert cv2.imread(str(files[-1])).shape == (2 * 328, 3 * 2 * 328, 3)


@pytest.mark.parametrize('layout', ['shapes', 'voc', 'yolo'])
def test_data_without_config_are_drawn_as_stored(layout, request, tmp_path):
    root = request.getfixturevalue(layout)
    files = browse_dataset(tmp_path / 'out', data=root, number=100, split='val')
    assert len(files) == 6
    assert all('original' in file.name for file in files[:-1])


def test_wrapped_data_sets(shapes, tmp_path):
    def wrap(dataset):
        repeated = dict(type='RepeatDataset', times=3, dataset=dataset)
        return dict(type='ConcatDataset', datasets=[dataset, repeated])

    files = browse_dataset(tmp_path / 'out', config(shapes, wrap), number=2)
    assert [file.name for file in files[:4]] == [
        '000000_train_000000_original.png',
        '000000_train_000000_augmented.png',
        '000039_train_000009_original.png',
        '000039_train_000009_augmented.png',
    ]


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        ({}, 'nothing to draw'),
        ({'number': 0}, 'expected at least 1 sample'),
        ({'data': 'nowhere'}, 'does not exist'),
        ({'config': Config({}), 'split': 'test'}, "split 'test'"),
    ],
)
def test_refusals(arguments, says, tmp_path):
    with pytest.raises(UserError, match=says):
        browse_dataset(tmp_path / 'out', **arguments)
    assert not list(tmp_path.iterdir())


def test_image_that_cannot_be_decoded_leaves_no_folder(coco, tmp_path):
    file = coco / 'train' / 'train_000000.jpg'
    content = file.read_bytes()
    table = content.index(b'\xff\xc4') + 4
    file.write_bytes(content[:table] + b'\xff' * 20 + content[table + 20 :])
    with pytest.raises(UserError, match='cannot be decoded'):
        browse_dataset(tmp_path / 'out', data=coco)
    assert [path.name for path in tmp_path.iterdir()] == ['coco']
