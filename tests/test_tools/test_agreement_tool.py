"""`mmeff agreement`: backends against mmdet on real files, and the status for scripts."""

import json
import runpy
from pathlib import Path

import pytest

from mmeff.cli import run
from mmeff.deploy.backends import torch_backend

from tiny_detectors import RETINANET, make_detector, picture, save

TOOL = Path(__file__).parents[2] / 'tools' / 'agreement.py'


@pytest.fixture(scope='module')
def files(tmp_path_factory) -> list[str]:
    """Config, weights and a folder of pictures of different sizes."""
    folder = tmp_path_factory.mktemp('agreement')
    for seed, size in enumerate([(96, 128), (128, 80), (64, 64)]):
        save(folder / 'images' / f'{seed}.png', picture(seed, *size))
    return [*make_detector(folder, RETINANET), str(folder / 'images')]


@pytest.fixture
def tool():
    """`main` of the tool, in this process."""
    return runpy.run_path(str(TOOL))['main']


def test_backend_that_agrees_passes(tool, files, tmp_path, capsys):
    out = tmp_path / 'a.json'
    arguments = [*files, '--device', 'cpu', '--backend', 'torch', '--out', str(out)]
    assert run(tool, arguments) == 0
    printed = capsys.readouterr().out
    assert 'PASS' in printed
    content = json.loads(out.read_text())
    found = content['backends']['torch']
    assert found['images'] == 3
    assert found['boxes'] + found['borderline'] >= 3 * 8
    assert found['boxes'] > 12
    assert found['max_box_px'] < 1e-3
    assert found['agrees'] is True
    assert len(content['checkpoint_sha256']) == 64
    assert (content['precision'], content['device']) == ('fp32', 'cpu')


def test_backend_that_does_not_agree_fails(tool, files, capsys, monkeypatch):
    build = torch_backend.build

    def build_wrong(*arguments):
        run_part = build(*arguments)
        return lambda images: tuple(1.01 * output for output in run_part(images))

    monkeypatch.setattr(torch_backend, 'build', build_wrong)
    with pytest.raises(SystemExit) as ended:
        run(tool, [*files, '--device', 'cpu', '--backend', 'torch'])
    assert ended.value.code == 1
    assert 'FAIL' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('--backend mmdet', 'no backend to compare with mmdet'),
        ('--backend ncnn', "backend 'ncnn': expected some of"),
        ('--backend tensorrt', 'TensorRT runs on NVIDIA GPUs'),
        ('--threads 0', 'threads=0: expected 1 or more'),
    ],
)
def test_mistakes_are_told_in_one_message(tool, files, capsys, arguments, message):
    assert run(tool, [*files, '--device', 'cpu', *arguments.split()]) == 2
    assert message in capsys.readouterr().err
