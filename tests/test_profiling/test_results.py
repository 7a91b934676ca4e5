"""Results come back as they were written, or are refused with a reason."""

import json

import pytest

from mmeff.errors import UserError
from mmeff.profiling.results import (
    SCHEMA_VERSION,
    read_result,
    result_name,
    write_result,
)

RESULT = {
    'config': 'net',
    'config_sha256': 'cc',
    'checkpoint': None,
    'checkpoint_sha256': None,
    'settings': {'device': 'cpu', 'batch': 1},
    'metrics': {'fps': 12.5, 'proposals_per_img': None},
    'parts': [{'name': 'backbone', 'macs_g': 1.5}],
    'layers': [],
    'roofline': None,
    'samples': {'latency_detect_ms': [[79.9, 80.1]]},
    'environment': {'torch': '2.14.1'},
}


def test_result_survives_the_round_trip(tmp_path):
    path = write_result(RESULT, tmp_path / 'made' / 'here', 'net__cpu__fp32.json')
    assert path == tmp_path / 'made' / 'here' / 'net__cpu__fp32.json'
    assert read_result(path) == {'schema_version': SCHEMA_VERSION, **RESULT}
    assert list(path.parent.iterdir()) == [path]


SETTINGS = {
    'device': 'NVIDIA H100 80GB HBM3',
    'precision': 'amp-fp16',
    'image_shape': [800, 1333],
    'batch': 8,
}


def test_name_tells_what_was_measured():
    name = result_name('vovnet39_maskrcnn', SETTINGS)
    assert name == (
        'vovnet39_maskrcnn__nvidia-h100-80gb-hbm3__amp-fp16__800x1333_b8.json'
    )


@pytest.mark.parametrize(
    ('settings', 'digest', 'end'),
    [
        ({'channels_last': True}, None, '_b8__channels-last.json'),
        ({'compile': True, 'fuse_conv_bn': True}, None, '_b8__fused__compiled.json'),
        ({'compile': False, 'threads': None}, None, '_b8.json'),
        ({'threads': 4}, None, '_b8__t4.json'),
        ({'backend': 'mmdet'}, None, '_b8.json'),
        ({'backend': 'torch'}, None, '_b8__torch.json'),
        ({'backend': 'onnxruntime'}, None, '_b8__onnxruntime.json'),
        ({}, '0123456789abcdef', '_b8__01234567.json'),
    ],
)
def test_name_tells_what_is_not_the_default(settings, digest, end):
    name = result_name('net', {**SETTINGS, **settings}, digest)
    assert name == f'net__nvidia-h100-80gb-hbm3__amp-fp16__800x1333{end}'


def _interrupt(*_):
    raise KeyboardInterrupt


def test_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = write_result(RESULT, tmp_path, 'a.json')
    monkeypatch.setattr('os.replace', _interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_result({**RESULT, 'config': 'other'}, tmp_path, 'a.json')
    assert list(tmp_path.iterdir()) == [path]
    assert read_result(path)['config'] == 'net'


def test_not_a_number_is_never_written_and_the_old_result_stays(tmp_path):
    path = write_result(RESULT, tmp_path, 'a.json')
    with pytest.raises(ValueError, match='JSON'):
        write_result({**RESULT, 'metrics': {'fps': float('nan')}}, tmp_path, 'a.json')
    assert read_result(path)['metrics'] == RESULT['metrics']


def test_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot write'):
        write_result(RESULT, tmp_path / 'file', 'a.json')


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('{', 'cannot read'),
        ('[]', 'schema_version is None'),
        ('{"schema_version": 0}', 'schema_version is 0'),
        (json.dumps({'schema_version': SCHEMA_VERSION}), 'config, config_sha256'),
    ],
)
def test_file_that_is_no_result_is_refused_by_name(tmp_path, text, reason):
    path = tmp_path / 'other.json'
    path.write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        read_result(path)
    assert 'other.json' in str(caught.value)


def test_result_of_version_2_has_the_backend_it_was_measured_with(tmp_path):
    path = write_result(RESULT, tmp_path, 'a.json')
    old = {**RESULT, 'schema_version': 2}
    old['settings'] = {**RESULT['settings'], 'backend': 'torch'}
    path.write_text(json.dumps(old))
    result = read_result(path)
    assert result['settings']['backend'] == 'mmdet'
    assert result['schema_version'] == SCHEMA_VERSION


def test_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r'none\.json'):
        read_result(tmp_path / 'none.json')
