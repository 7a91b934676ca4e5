"""`mmeff predict` as a user calls it: what it prints, writes and returns."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import mmeff
from mmeff.checkpoints.detector import build_detector
from mmeff.cli import main
from mmeff.config import load_config

FILE = 'predictions.json'
CONFIG = (
    f'_base_ = [{mmeff.config_path("vovnet39_maskrcnn.py")!r}]'
    """
model = dict(
    backbone=dict(arch='v2-19-slim-dw', norm_cfg=dict(_delete_=True, type='BN')),
    neck=dict(in_channels=[112, 256, 384, 512], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, conv_out_channels=32, fc_out_channels=64),
        mask_roi_extractor=dict(out_channels=32),
        mask_head=dict(num_convs=1, in_channels=32, conv_out_channels=32)),
    test_cfg=dict(
        rpn=dict(max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=4)))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='PackDetInputs')]))
"""
)


@pytest.fixture(scope='module')
def detector(tmp_path_factory) -> list[str]:
    """Config and checkpoint of an untrained Mask R-CNN."""
    folder = tmp_path_factory.mktemp('detector')
    (folder / 'config.py').write_text(CONFIG)
    model = build_detector(load_config(folder / 'config.py'), device='cpu')
    torch.save({'state_dict': model.state_dict()}, folder / 'weights.pth')
    return [str(folder / 'config.py'), str(folder / 'weights.pth')]


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Two pictures and a text, on a machine without a GPU."""
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    folder = tmp_path / 'photos'
    (folder / 'more').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ('a.jpg', 'more/a.png'):
        small = rng.integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(small, (128, 96)))
    (folder / 'read.me').touch()
    return folder


def test_folder_writes_pictures_and_json_and_says_so(
    detector, photos, tmp_path, capsys
):
    out = tmp_path / 'out'
    options = ['--out-dir', str(out), '--pred-score-thr', '0', '--batch-size', '2']
    assert main(['predict', *detector, str(photos), *options, '--device', 'cpu']) == 0
    printed = capsys.readouterr().out
    assert '2 images, 8 boxes with a score above 0\n' in printed
    assert re.search(r'model \d+\.\d ms/img, drawing \d+\.\d ms/img', printed)
    assert '\nbackend: mmdet, fp32\n' in printed
    assert f'pictures: {out}/vis' in printed
    assert f'predictions: {out}/predictions.json' in printed
    coco = json.loads((out / 'predictions.json').read_text())
    assert [i['file_name'] for i in coco['images']] == ['a.jpg', 'more/a.png']
    assert len(coco['annotations']) == 8
    assert (out / 'vis/more/a.jpg').is_file()


def test_nothing_is_written_when_not_wanted(detector, photos, tmp_path, capsys):
    options = ['--out-dir', str(tmp_path / 'out'), '--no-save-vis', '--no-save-pred']
    options += ['--cfg-options', 'model.test_cfg.rcnn.max_per_img=1']
    options += ['--pred-score-thr', '0']
    assert main(['predict', *detector, str(photos), *options]) == 0
    printed = capsys.readouterr().out
    assert '2 images, 2 boxes' in printed
    assert 'drawing' not in printed
    assert not (tmp_path / 'out').exists()


def test_backend_is_named_and_finds_the_same(detector, photos, tmp_path, capsys):
    options = ['--pred-score-thr', '0', '--device', 'cpu', '--no-save-vis']
    found = {}
    for backend in ('mmdet', 'torch'):
        out = ['--out-dir', str(tmp_path / backend), '--backend', backend]
        assert main(['predict', *detector, str(photos), *options, *out]) == 0
        assert f'backend: {backend}, fp32' in capsys.readouterr().out
        found[backend] = json.loads((tmp_path / backend / FILE).read_text())
    assert len(found['mmdet']['annotations']) == 8
    for one, other in zip(
        *(each['annotations'] for each in found.values()), strict=True
    ):
        assert one['bbox'] == pytest.approx(other['bbox'], abs=2e-3)
        assert one['score'] == pytest.approx(other['score'], abs=1e-4)


def test_unreadable_file_is_listed_last_with_status_2(
    detector, photos, tmp_path, capsys
):
    (photos / 'bad.jpg').write_text('no picture')
    options = ['--out-dir', str(tmp_path / 'out'), '--no-save-vis']
    assert main(['predict', *detector, str(photos), *options]) == 2
    printed = capsys.readouterr()
    assert '2 images' in printed.out
    assert '1 input could not be read' in printed.err
    assert f'{photos}/bad.jpg: its 10 bytes are no picture' in printed.err
    saved = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert len(saved['images']) == 2


def test_long_list_of_unreadable_files_is_shortened(detector, photos, tmp_path, capsys):
    for index in range(23):
        (photos / f'bad{index}.jpg').touch()
    options = ['--out-dir', str(tmp_path / 'out'), '--no-save-vis']
    assert main(['predict', *detector, str(photos), *options]) == 2
    lines = capsys.readouterr().err.strip().split('\n')
    assert '23 inputs could not be read' in lines[-22]
    assert lines[-1] == '  ... and 3 more'


@pytest.mark.parametrize(
    'wrong', ['config', 'checkpoint', 'input', 'threshold', 'batch', 'workers']
)
def test_wrong_argument_is_one_line_on_stderr(
    detector, photos, tmp_path, capsys, wrong
):
    config, checkpoint, inputs = *detector, str(photos)
    options = ['--out-dir', str(tmp_path / 'out')]
    if wrong == 'config':
        config = 'none'
    elif wrong == 'checkpoint':
        checkpoint = 'none'
    elif wrong == 'input':
        inputs = 'none'
    elif wrong == 'threshold':
        options += ['--pred-score-thr', '30']
    elif wrong == 'workers':
        options += ['--num-workers', '0']
    else:
        options += ['--batch-size', '0']
    assert main(['predict', config, checkpoint, inputs, *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ''
    (line,) = printed.err.strip().split('\n')
    assert line.startswith('error: ')
    found = {'threshold': '30', 'batch': 'batch size 0', 'workers': '0 workers'}
    assert found.get(wrong, 'none') in line


def test_help_needs_no_torch_and_shows_examples():
    code = (
        'import sys; from mmeff.cli import main\n'
        'try: main(["predict", "--help"])\n'
        'finally: assert "torch" not in sys.modules'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert 'predict CONFIG CHECKPOINT photo.jpg' in done.stdout
    assert '--pred-score-thr' in done.stdout
