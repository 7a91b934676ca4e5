"""Weights go into a model all or not at all."""

import pytest
import torch
from torch import nn

from mmeff.checkpoints.loading import load_detector_weights
from mmeff.checkpoints.safe import file_sha256
from mmeff.errors import UserError


def net(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('wrapped', [True, False])
def test_whole_state_dict_is_loaded(tmp_path, prefix, wrapped):
    source, target = net(), net()
    state = {f'{prefix}{key}': value for key, value in source.state_dict().items()}
    content = {'state_dict': state, 'meta': {'epoch': 3}} if wrapped else state
    torch.save(content, tmp_path / 'a.pth')
    meta = load_detector_weights(target, str(tmp_path / 'a.pth'))
    assert meta == ({'epoch': 3} if wrapped else {})
    assert torch.equal(target[0].weight, source[0].weight)


def test_missing_and_misshapen_tensors_are_counted(tmp_path):
    state = net(8).state_dict()
    del state['1.bias']
    torch.save(state, tmp_path / 'a.pth')
    target = net()
    before = target[0].weight.clone()
    message = (
        r'fits 0 of 6 tensors of this model; 1 missing, first 1.bias; 5 of another '
        r'shape, first 0.weight \(8, 3, 1, 1\) instead of \(4, 3, 1, 1\)'
    )
    with pytest.raises(UserError, match=message):
        load_detector_weights(target, str(tmp_path / 'a.pth'))
    assert torch.equal(target[0].weight, before)


def test_something_else_than_a_dictionary(tmp_path):
    torch.save([1, 2], tmp_path / 'a.pth')
    with pytest.raises(UserError, match='holds a list'):
        load_detector_weights(net(), str(tmp_path / 'a.pth'))


def test_digest_tells_weights_apart(tmp_path):
    for name, content in (('a', b'1'), ('b', b'1'), ('c', b'2')):
        (tmp_path / name).write_bytes(content)
    digests = [file_sha256(tmp_path / name) for name in 'abc']
    assert digests[0] == digests[1] != digests[2]
    assert file_sha256(tmp_path / 'none') is None
