"""The command `mmeff export`."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch

import mmeff
from mmeff.checkpoints.detector import build_detector
from mmeff.cli import main
from mmeff.config import load_config

CONFIG = f"""
_base_ = [{mmeff.config_path('ssdlite320_mobilenetv2_coco.py')!r}]
model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=(144, 1280), out_channels=(144, 1280, 32, 16, 16, 16)),
    bbox_head=dict(in_channels=(144, 1280, 32, 16, 16, 16), num_classes=2))
"""


@pytest.fixture(scope='module')
def detector(tmp_path_factory) -> list[str]:
    """Config and checkpoint of an untrained SSDLite."""
    folder = tmp_path_factory.mktemp('detector')
    (folder / 'config.py').write_text(CONFIG)
    model = build_detector(load_config(folder / 'config.py'), device='cpu')
    meta = {'dataset_meta': {'classes': ['a', 'b']}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, folder / 'net.pth')
    return [str(folder / 'config.py'), str(folder / 'net.pth')]


def test_file_is_written_checked_and_described(detector, tmp_path, capsys):
    out = tmp_path / 'new' / 'net.onnx'
    options = ['--out', str(out), '--pre', 'inside', '--shape', '96', '128']
    assert main(['export', *detector, *options, '--batch', '2', '--opset', '18']) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == 'network: exporting'
    assert printed[1].startswith('network: agrees with the detector, largest diff')
    size = out.stat().st_size / 1e6
    assert f'{out} ({size:.1f} MB)' in printed
    assert '  in   image (2, 96, 128, 3)' in printed
    assert '  out  cls_score_0 (2, 9, 6, 8)' in printed
    assert '  out  and 4 more' in printed
    assert onnx.load(out).opset_import[0].version == 18
    assert [file.name for file in out.parent.iterdir()] == ['net.onnx']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--dynamic', '--batch', '2'], '--dynamic lets sizes vary'),
        (['--opset', '9'], 'opset 9: expected 18'),
        (['--image', 'none.jpg'], 'none.jpg'),
    ],
)
def test_wrong_argument_is_one_line_on_stderr(
    detector, tmp_path, capsys, options, message
):
    out = tmp_path / 'net.onnx'
    assert main(['export', *detector, '--out', str(out), *options]) == 2
    (line,) = capsys.readouterr().err.strip().split('\n')
    assert line.startswith('error: ')
    assert message in line
    assert not out.exists()


def test_result_that_differs_is_status_2_and_no_file(
    detector, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr('mmeff.deploy.check_onnx.MAX_DIFFERENCE', -1.0)
    out = tmp_path / 'net.onnx'
    options = ['--out', str(out), '--shape', '64', '64']
    assert main(['export', *detector, *options]) == 2
    assert 'nothing was written' in capsys.readouterr().err
    assert not list(Path(tmp_path).iterdir())


def test_help_needs_no_torch_and_shows_examples():
    code = (
        'import sys; from mmeff.cli import main\n'
        'try: main(["export", "--help"])\n'
        'finally: assert "torch" not in sys.modules'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert 'export CONFIG CHECKPOINT --out net.onnx' in done.stdout
