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
    'checkpoint': None,
    'checkpoint_sha256': None,
    'settings': {'device': 'cpu', 'batch': 1},
    'metrics': {'fps': 12.5, 'proposals_per_img': None},
    'samples': {'latency_detect_ms': [[79.9, 80.1]]},
    'environment': {'torch': '2.14.1'},
}


def test_result_survives_the_round_trip(tmp_path):
    path = write_result(RESULT, tmp_path / 'made' / 'here', 'net__cpu__fp32.json')
    assert path == tmp_path / 'made' / 'here' / 'net__cpu__fp32.json'
    assert read_result(path) == {'schema_version': SCHEMA_VERSION, **RESULT}
    assert list(path.parent.iterdir()) == [path]


def test_name_tells_config_device_and_precision():
    assert result_name('net', 'cpu', 'fp32') == 'net__cpu__fp32.json'
    name = result_name('vovnet39_maskrcnn', 'NVIDIA H100 80GB HBM3', 'amp-fp16')
    assert name == 'vovnet39_maskrcnn__nvidia-h100-80gb-hbm3__amp-fp16.json'


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
        (json.dumps({'schema_version': SCHEMA_VERSION}), 'config, checkpoint'),
    ],
)
def test_file_that_is_no_result_is_refused_by_name(tmp_path, text, reason):
    path = tmp_path / 'other.json'
    path.write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        read_result(path)
    assert 'other.json' in str(caught.value)


def test_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r'none\.json'):
        read_result(tmp_path / 'none.json')
