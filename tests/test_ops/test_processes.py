"""Ops in DataLoader workers, and modules that travel between processes."""

# A spawned worker imports this file and no conftest, hence mmeff before mmcv here.
import mmeff  # noqa: F401

# isort: split
import copy
import pickle

import pytest
import torch
from mmcv import ops
from torch.utils.data import DataLoader, Dataset

from op_cases import random_boxes


class NmsDataset(Dataset):
    """Items are the boxes that NMS keeps; worker processes compute them."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        boxes, scores = random_boxes(30, 100.0, torch.Generator().manual_seed(index))
        return ops.nms(boxes, scores, 0.5)[1]


@pytest.mark.parametrize('start_method', ['fork', 'spawn'])
def test_nms_runs_in_dataloader_workers(start_method):
    dataset = NmsDataset()
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, multiprocessing_context=start_method
    )
    for found, expected in zip(loader, map(dataset.__getitem__, range(4)), strict=True):
        assert torch.equal(found, expected)


LAYERS = [
    (ops.RoIAlign(7, 0.25), ()),
    (ops.RoIPool(7, 0.25), ()),
    (ops.DeformConv2dPack(2, 3, 3), ((1, 2, 5, 5),)),
    (ops.ModulatedDeformConv2dPack(2, 3, 3), ((1, 2, 5, 5),)),
    (ops.CARAFE(3, 1, 2), ((1, 2, 4, 4), (1, 9, 8, 8))),
]


@pytest.mark.parametrize(('layer', 'shapes'), LAYERS)
@pytest.mark.parametrize(
    'clone', [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_layers_survive_copying_and_pickling(layer, shapes, clone):
    twin = clone(layer)
    assert repr(twin) == repr(layer)
    if not shapes:
        shapes = ((1, 2, 8, 8), None)
    inputs = [
        torch.tensor([[0.0, 1, 1, 20, 24]]) if shape is None else torch.rand(shape)
        for shape in shapes
    ]
    assert torch.equal(twin(*inputs), layer(*inputs))
