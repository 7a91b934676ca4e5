"""No checkpoint runs code or takes more memory than a multiple of its size."""

import codecs
import functools
import http.server
import json
import pickle
import struct
import threading

import numpy as np
import pytest
import torch
from mmengine.fileio import load as load_any
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.structures import InstanceData
from torch import nn

from mmeff.checkpoints.loading import load_detector_weights
from mmeff.checkpoints.safe import load_file
from mmeff.checkpoints.sources import read_weights
from mmeff.errors import UserError

from hostile import Call, touch, zip_bomb
from processes import DOWNSTREAM

CONFIG = str(DOWNSTREAM / 'configs' / 'by_name.py')


@pytest.fixture
def canary(tmp_path):
    """A file that only code of an attack makes."""
    file = tmp_path / 'canary'
    yield file
    assert not file.exists()


@pytest.fixture
def malicious(tmp_path, canary):
    path = tmp_path / 'malicious.pth'
    torch.save({'state_dict': {'a': torch.ones(1)}, 'meta': touch(canary)}, path)
    return path


def calls(path, data) -> dict[str, tuple]:
    """Every way in which a tool is given a checkpoint."""
    image, train = next((data / 'val').iterdir()), ('train', CONFIG, '--data', data)
    pretrained = 'model.backbone.init_cfg.type=Pretrained'
    return {
        'resume': (*train, '--resume', path),
        'load_from': (*train, '--cfg-options', f'load_from={path}'),
        'pretrained': (
            *train,
            '--cfg-options',
            pretrained,
            f'model.backbone.init_cfg.checkpoint={path}',
        ),
        'test': ('test', CONFIG, path, '--data', data),
        'predict': ('predict', CONFIG, path, image),
        'export': ('export', CONFIG, path, '--out', 'model.onnx'),
        'benchmark': ('benchmark', CONFIG, '--checkpoint', path, '--shape', 64, 64),
        'convert': (
            'convert_backbone',
            'VoVNet',
            path,
            'out.pth',
            '--options',
            'arch=39',
        ),
    }


WAYS = (
    *('resume', 'load_from', 'pretrained', 'test', 'predict', 'export', 'benchmark'),
    'convert',
)


@pytest.mark.parametrize('way', WAYS)
def test_no_tool_runs_code_of_a_checkpoint(message, tiny_shapes, malicious, way):
    text = message(*calls(malicious, tiny_shapes)[way])
    assert 'malicious.pth is not plain weights: it names ' in text
    assert 'system' in text


@pytest.mark.parametrize('form', ['zip', 'old', 'plain pickle', 'nested'])
def test_code_in_every_form_of_file(tmp_path, canary, form):
    path, content = tmp_path / 'a.pth', {'state_dict': {'a': touch(canary)}}
    if form == 'plain pickle':
        path.write_bytes(pickle.dumps(content, 2))
    elif form == 'nested':  # what reads the tensors of a plain pickle reads pickles
        inner = pickle.dumps(touch(canary))
        torch.save({'a': Call(torch.storage._load_from_bytes, inner)}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == 'zip')
    for read in (load_file, read_weights, CheckpointLoader.load_checkpoint):
        with pytest.raises(UserError, match='not plain weights'):
            read(str(path))


@pytest.fixture
def server(tmp_path):
    """Address at which the files of a folder are."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path)
    )
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{running.server_port}'
        running.shutdown()


def test_code_behind_an_address(server, malicious, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    for prefix in ('', '../../'):
        with pytest.raises(UserError, match='not plain weights'):
            CheckpointLoader.load_checkpoint(f'{server}/{prefix}malicious.pth')
    kept = [file for file in (tmp_path / 'home').rglob('*') if file.is_file()]
    assert [file.parent.name for file in kept] == ['checkpoints']


@pytest.mark.parametrize(
    ('address', 'text'),
    [
        ('http://127.0.0.1:9/a.pth', 'cannot be fetched'),
        ('http://127.0.0.1:9/..', 'names no file'),
        ('open-mmlab://nothing', 'no model of this name'),
        ('mmcls://nothing', 'no model of this name'),
        ('torchvision://nothing', 'no model of this name'),
        ('file:///etc/passwd', 'no such file'),
        ('s3://bucket/a.pth', 'petrel'),
        ('a\0b.pth', 'no such file'),
    ],
)
def test_addresses_that_lead_nowhere(address, text, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UserError, match=text):
        load_detector_weights(nn.Linear(2, 2), address)


def test_the_config_in_a_checkpoint_is_not_there_to_be_run(tmp_path, canary):
    path = tmp_path / 'old.pth'
    meta = {'epoch': 1, 'config': f'open({str(canary)!r}, "w")'}
    torch.save({'state_dict': {}, 'meta': meta}, path)
    assert CheckpointLoader.load_checkpoint(str(path))['meta'] == {'epoch': 1}


# --------------------------------------------------------------------------- memory


def hexed(times: int):
    """Bytes that double with each call."""
    content = Call(codecs.encode, 'a' * 1000, 'latin1')
    for _ in range(times):
        content = Call(codecs.encode, content, 'hex')
    return content


BOMBS = {
    'bytes of a number': lambda: Call(bytearray, 2**33),
    'doubling codec': lambda: hexed(24),
    'array of objects': lambda: Call(np.ndarray, (2**33,), np.dtype('O')),
    'copy of one element': lambda: Call(
        torch._utils._rebuild_device_tensor_from_cpu_tensor,
        torch.ones(1).expand(2**17, 2**17),
        torch.float64,
        'cpu',
        False,
    ),
}


@pytest.mark.parametrize('kind', BOMBS)
def test_small_pickles_that_want_much_memory(tmp_path, little_memory, kind):
    path = tmp_path / 'bomb.pth'
    torch.save({'a': BOMBS[kind]()}, path)
    with pytest.raises(UserError, match='not plain weights'):
        load_file(str(path))


def test_what_torch_allows_is_as_it_was_afterwards(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'a': bytearray(b'abc')}, path)
    with pytest.raises(UserError, match='bytearray'):
        load_file(str(path))
    assert torch.load(path, weights_only=True)['a'] == b'abc'


def test_zip_bomb(tmp_path, little_memory):
    path = zip_bomb(tmp_path / 'bomb.pth', megabytes=256)
    assert path.stat().st_size < 2**20
    with pytest.raises(UserError, match=r'is compressed: \d+ bytes would become 268'):
        load_file(str(path))


def test_tensor_that_is_larger_than_its_storage(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'a': torch.ones(4)}, path)
    four = b'K\x04t'  # the number of elements, at the end of the storage's entry
    content = path.read_bytes()
    assert content.count(four) == 1
    path.write_bytes(content.replace(four, b'K\xfft'))
    with pytest.raises(UserError, match='cannot be read'):
        load_file(str(path))


def header(text: bytes, size: int | None = None, data: bytes = b'') -> bytes:
    return struct.pack('<Q', len(text) if size is None else size) + text + data


@pytest.mark.parametrize(
    'content',
    [
        header(b'{}', 2**60),
        header(b'{}', 2**63),
        header(b'{"a": 5}'),
        header(b'{' * 100_000),
        header(
            json.dumps(
                {'a': {'dtype': 'F32', 'shape': [2**40, 2], 'data_offsets': [0, 8]}}
            ).encode(),
            data=bytes(8),
        ),
        header(
            b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}',
            data=bytes(8),
        ),
        b'',
    ],
)
def test_safetensors_with_a_lying_header(tmp_path, little_memory, content):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(content)
    with pytest.raises(UserError, match='no whole file of safetensors'):
        load_file(str(path))


# ------------------------------------------------------------------------ structure


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        ({1: torch.ones(2)}, 'not all of its keys are names'),
        ({'state_dict': [1]}, "its 'state_dict' is a list"),
        ({'state_dict': {}, 'meta': [1]}, "its 'meta' is a list"),
        ({'state_dict': {'weight': 5}}, '2 missing'),
        ({'weight': [1], 'bias': {}}, '2 missing'),
        ({'weight': torch.ones(1).expand(9**9, 9**9)}, 'of another shape'),
        (torch.ones(2), 'holds a Tensor'),
    ],
)
def test_structures_that_are_no_checkpoint(tmp_path, little_memory, content, text):
    path = tmp_path / 'a.pth'
    torch.save(content, path)
    with pytest.raises(UserError, match=text):
        load_detector_weights(nn.Linear(2, 2), str(path))


def test_dataset_meta_that_is_none(tmp_path):
    path, net = tmp_path / 'a.pth', nn.Linear(2, 2)
    meta = {'dataset_meta': ['cat']}
    torch.save({'state_dict': net.state_dict(), 'meta': meta}, path)
    with pytest.raises(UserError, match="'dataset_meta' is no dictionary"):
        load_detector_weights(net, str(path))


# --------------------------------------------------------------------- other pickles


def test_proposals_and_predictions_are_read_as_data(tmp_path):
    """What `proposal_file` and `test --out` hold."""
    path = tmp_path / 'proposals.pkl'
    boxes = InstanceData(bboxes=torch.rand(3, 4), scores=torch.rand(3))
    content = {'a.jpg': boxes, 'b.jpg': {'bboxes': np.ones((2, 4), np.float32)}}
    path.write_bytes(pickle.dumps(content, 2))
    found = load_any(str(path))
    assert torch.equal(found['a.jpg'].bboxes, boxes.bboxes)
    assert found['b.jpg']['bboxes'].sum() == 8


@pytest.mark.parametrize('protocol', [0, 2, 5])
def test_pkl_files_run_no_code(tmp_path, canary, protocol):
    path = tmp_path / 'proposals.pkl'
    nested = Call(torch.storage._load_from_bytes, pickle.dumps(touch(canary)))
    for content in (touch(canary), [nested], Call(eval, '1'), Call(getattr, 1, 'real')):
        path.write_bytes(pickle.dumps(content, protocol))
        with pytest.raises(UserError, match='not plain'):
            load_any(str(path))


@pytest.mark.parametrize(
    'content',
    [
        b'\x80\x02Nr\xff\xff\xff\x7f.',  # the place of an object in a list of all
        b'\x80\x05\x96' + (2**34).to_bytes(8, 'little') + b'.',
        b'\x80\x05\x8e' + (2**34).to_bytes(8, 'little') + b'.',
        b'',
    ],
    ids=['memo', 'bytearray', 'bytes', 'empty'],
)
def test_small_pkl_files_that_want_much_memory(tmp_path, little_memory, content):
    path = tmp_path / 'a.pkl'
    path.write_bytes(content)
    try:
        assert load_any(str(path)) in (None, b'.', b'')
    except UserError as error:
        assert 'not plain data' in str(error)  # noqa: PT017
