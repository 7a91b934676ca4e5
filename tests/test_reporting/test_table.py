"""Results of the same weights become one row; what is missing stays missing."""

import io
import json

import pytest
from rich.console import Console

from mmeff.errors import UserError
from mmeff.reporting.table import join, make_table, read_results

EVALUATION = {
    'schema_version': 1,
    'config': 'net',
    'checkpoint': 'a.pth',
    'checkpoint_sha256': 'aa',
    'metrics': {'coco/bbox_mAP': 0.4125, 'coco/segm_mAP': -1.0},
}
BENCHMARK = {
    **EVALUATION,
    'settings': {'image_shape': [320, 320], 'device': 'CPU', 'precision': 'fp32'},
    'metrics': {'params_m': 43.45, 'latency_detect_ms': {'mean': 12.5}, 'fps': 80.0},
}


def text(rows) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(make_table(rows))
    return console.file.getvalue()


def test_same_weights_are_one_row():
    rows = join([EVALUATION, BENCHMARK])
    assert list(rows) == ['net, 320x320, CPU, fp32']
    table = text(rows)
    for cell in ('41.2', '43.45', '12.5', '80.0'):
        assert cell in table


def test_other_weights_are_another_row():
    rows = join([EVALUATION, {**BENCHMARK, 'checkpoint_sha256': 'bb'}])
    assert len(rows) == 2
    assert rows['net'] == EVALUATION['metrics']


def test_missing_numbers_are_dashes_and_unmeasured_columns_absent():
    table = text(join([EVALUATION, {**BENCHMARK, 'config': 'other'}]))
    assert 'GMACs' not in table
    assert table.count('–') == 6  # noqa: RUF001
    assert '-1' not in table


def test_folders_are_searched_and_other_json_is_left_out(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'metrics.json').write_text(json.dumps(EVALUATION))
    (tmp_path / 'annotations.json').write_text('{"images": []}')
    (tmp_path / 'log.json').write_text('{"x": 1}\n{"x": 2}')
    assert read_results([tmp_path]) == [EVALUATION]


def test_missing_file_is_a_message(tmp_path):
    with pytest.raises(UserError, match='no such file'):
        read_results([tmp_path / 'none.json'])
