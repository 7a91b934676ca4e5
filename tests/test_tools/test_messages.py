"""Bad input is one message and exit status 2, never a traceback."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from mmeff import cli

from processes import DOWNSTREAM

TOOLS = Path(__file__).parents[2] / 'tools'
CONFIG = str(DOWNSTREAM / 'configs' / 'by_name.py')


def test_missing_config(message):
    assert 'config nowhere.py: no such file' in message('train', 'nowhere.py')


def test_data_folder_without_annotations(message, tmp_path):
    (tmp_path / 'pictures').mkdir()
    text = message('train', CONFIG, '--data', 'pictures')
    assert 'pictures' in text
    assert 'annotations' in text


def test_classes_in_no_annotation(message, tiny_shapes):
    text = message('train', CONFIG, '--data', tiny_shapes, '--classes', 'cat')
    assert 'cat' in text
    assert 'circle (7), rectangle (13), triangle (10)' in text


def test_corrupt_image_met_in_training(message, tiny_shapes, tmp_path):
    """Header and end are whole, so that only decoding finds out."""
    data = shutil.copytree(tiny_shapes, tmp_path / 'data')
    image = next((data / 'train').iterdir())
    content = image.read_bytes()
    table = content.index(b'\xff\xc4') + 4  # the first Huffman table
    image.write_bytes(content[:table] + b'\xff' * 20 + content[table + 20 :])
    text = message('train', CONFIG, '--data', data, '--work-dir', 'run')
    assert image.name in text
    assert 'cannot be decoded' in text


@pytest.mark.parametrize(
    ('key', 'value', 'expected'),
    [
        ('arch', '40', '27-slim'),
        ('out_indices', '(2,7)', 'stride'),
        ('form', 'tensorflow', 'pytorch, timm'),
    ],
)
def test_wrong_backbone_arguments(message, tiny_shapes, key, value, expected):
    options = ('--cfg-options', f'model.backbone.{key}={value}')
    text = message('train', CONFIG, '--data', tiny_shapes, *options)
    assert expected in text


def checkpoint(path: Path, content) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize('tool', ['test', 'predict', 'benchmark'])
def test_foreign_checkpoint(message, tiny_shapes, tmp_path, tool):
    path = checkpoint(tmp_path / 'other.pth', torch.nn.Linear(2, 2).state_dict())
    text = message(*call_of(tool, path, tiny_shapes))
    assert 'fits 0 of' in text


@pytest.mark.parametrize('tool', ['test', 'predict', 'benchmark'])
def test_cut_off_checkpoint(message, tiny_shapes, tmp_path, tool):
    path = checkpoint(tmp_path / 'cut.pth', {'state_dict': {'a': torch.ones(9999)}})
    path.write_bytes(path.read_bytes()[:5000])
    text = message(*call_of(tool, path, tiny_shapes))
    assert 'cut.pth (5000 bytes) cannot be read' in text


def call_of(tool, path, data):
    return {
        'test': ('test', CONFIG, path, '--data', data),
        'predict': ('predict', CONFIG, path, next((data / 'val').iterdir())),
        'benchmark': ('benchmark', CONFIG, '--checkpoint', path, '--shape', 64, 64),
    }[tool]


def test_cut_off_checkpoint_to_resume_from(message, tiny_shapes, tmp_path):
    path = tmp_path / 'cut.pth'
    path.write_bytes(b'PK\x03\x04 no checkpoint')
    text = message('train', CONFIG, '--data', tiny_shapes, '--resume', path)
    assert 'cut.pth (18 bytes) cannot be read' in text


def test_checkpoint_that_does_not_exist(message, tiny_shapes):
    text = message('test', CONFIG, 'none.pth', '--data', tiny_shapes)
    assert 'none.pth: no such file' in text
    text = message('train', CONFIG, '--data', tiny_shapes, '--resume', 'none.pth')
    assert 'none.pth: no such file' in text


def test_data_set_of_the_config_is_not_there(message):
    text = message('train', 'vovnet27-slim_rtmdet.py')
    assert 'instances_train2017.json' in text
    assert '--data PATH' in text


def test_gpu_that_does_not_exist(message, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    assert 'expected cpu, cuda or cuda:N' in message('train', CONFIG, '--device', 'tpu')
    text = message('train', CONFIG, '--device', 'cuda:3')
    assert 'cuda:3' in text


def test_unknown_preset(message):
    assert '_base_/presets/slow' in message('train', CONFIG, '--preset', 'slow')


def test_no_results_to_report(message, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty' / 'other.json').write_text(json.dumps([1]))
    for path in ('empty', 'empty/other.json'):
        found = message('report', path)
        assert f'no results of tools/benchmark.py or tools/test.py in {path};' in found
        assert 'empty/other.json: left out, no result' in found


def test_unknown_tool(capsys):
    assert cli.main(['tarin']) == 2
    error = capsys.readouterr().err
    assert "no tool 'tarin'" in error
    assert 'train ' in error


def test_list_of_tools(capsys):
    assert cli.main(['--help']) == 0
    out = capsys.readouterr().out
    names = {path.stem for path in TOOLS.glob('*.py')}
    assert all(f'  {name} ' in out for name in names)
