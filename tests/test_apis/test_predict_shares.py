"""Inputs shared by several processes, against a single one."""

import socket
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch

from mmeff.apis.predict import predict
from mmeff.apis.predict_shares import divide
from mmeff.cli import TOOLS
from mmeff.deploy.media import Source
from mmeff.errors import UserError

from processes import clean_env
from tiny_detectors import RETINANET, make_detector, picture, save, save_video


@pytest.fixture(scope='module')
def retinanet(tmp_path_factory):
    return make_detector(tmp_path_factory.mktemp('retinanet'), RETINANET)


def run(detector, inputs, out_dir, **kwargs):
    kwargs = {'pred_score_thr': 0.0, 'device': 'cpu'} | kwargs
    return predict(*detector, inputs, out_dir, **kwargs)


@pytest.fixture
def many(tmp_path) -> Path:
    """Pictures, two videos and two files that cannot be read."""
    folder = tmp_path / 'in'
    for seed in range(7):
        save(folder / f'{seed}.png', picture(seed, 60 + seed, 80))
    (folder / '3.jpg').write_text('no picture')
    (folder / '5.bmp').touch()
    save_video(folder / 'clip.avi', [picture(seed) for seed in range(3)])
    save_video(folder / 'cut.avi', [picture(seed) for seed in range(4, 24)])
    cut = (folder / 'cut.avi').read_bytes()
    (folder / 'cut.avi').write_bytes(cut[: len(cut) // 2])
    return folder


def inputs_of(folder: Path) -> list[Path]:
    return [folder / 'clip.avi', folder, folder / 'cut.avi']


def files_below(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_workers_write_what_one_process_writes(retinanet, many, tmp_path):
    threads = torch.get_num_threads()
    single = run(retinanet, inputs_of(many), tmp_path / 'one')
    several = run(retinanet, inputs_of(many), tmp_path / 'two', num_workers=2)
    written = files_below(tmp_path / 'one')
    assert len(written) == 1 + 7 + 2
    assert files_below(tmp_path / 'two') == written
    assert several.coco == single.coco
    assert several.failures == single.failures
    assert len(single.failures) == 3
    assert several.backend == 'mmdet'
    assert torch.get_num_threads() == threads


DYING = """
import os
from mmdet.models import RetinaNet
from mmdet.registry import MODELS

@MODELS.register_module()
class DyingRetinaNet(RetinaNet):
    def predict(self, inputs, samples, rescale=True):
        if samples[0].ori_shape == (66, 80):
            os._exit(7)
        return super().predict(inputs, samples, rescale)
"""


def test_worker_that_dies_is_a_message_and_leaves_nothing_half_written(
    retinanet, many, tmp_path, monkeypatch
):
    (tmp_path / 'dying_detector.py').write_text(DYING)
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / 'config.py'
    text = Path(retinanet[0]).read_text().replace("'RetinaNet'", "'DyingRetinaNet'")
    config.write_text(f"{text}\ncustom_imports = dict(imports='dying_detector')\n")
    out = tmp_path / 'out'
    with pytest.raises(UserError, match=r'worker \d of 2 died with exit code 7'):
        run((config, retinanet[1]), inputs_of(many), out, num_workers=2)
    left = files_below(out)
    assert 'predictions.json' not in left
    assert not [name for name in left if 'unfinished' in name]
    for name in left:
        assert cv2.VideoCapture(str(out / name)).read()[0]


@pytest.mark.slow
def test_message_of_a_worker_is_that_of_one_process(retinanet, many, tmp_path):
    broken = retinanet[0], tmp_path / 'none.pth'
    with pytest.raises(UserError) as single:
        run(broken, many, tmp_path / 'one')
    with pytest.raises(UserError) as several:
        run(broken, many, tmp_path / 'two', num_workers=2)
    assert str(several.value) == str(single.value)


def start_as_slurm_does(arguments: list, folder: Path) -> subprocess.CompletedProcess:
    """Two processes, told apart by SLURM's variables; gives that of rank 0."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    shared = {'SLURM_NTASKS': '2', 'SLURM_NODELIST': 'localhost'}
    shared |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
    run_main = 'from mmeff.cli import main; raise SystemExit(main())'
    command = [sys.executable, '-c', run_main, *map(str, arguments)]
    ranks = [
        subprocess.Popen(
            command,
            env={**clean_env(), **shared, 'SLURM_PROCID': rank, 'SLURM_LOCALID': rank},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in '01'
    ]
    out, err = zip(*(rank.communicate() for rank in ranks), strict=True)
    assert (out[1], ranks[1].returncode) == ('', 0), err[1]
    return subprocess.CompletedProcess(command, ranks[0].returncode, out[0], err[0])


@pytest.mark.slow
@pytest.mark.parametrize('launcher', ['pytorch', 'slurm'])
def test_launched_processes_write_what_one_writes(
    retinanet, many, tmp_path, launcher, python
):
    run(retinanet, inputs_of(many), tmp_path / 'one')
    options = ['--out-dir', tmp_path / 'two', '--pred-score-thr', 0, '--device', 'cpu']
    arguments = ['predict', *retinanet, *inputs_of(many), *options]
    arguments += ['--launcher', launcher]
    if launcher == 'pytorch':
        torchrun = ['-m', 'torch.distributed.run', '--standalone']
        torchrun += ['--nproc_per_node=2', TOOLS / 'predict.py']
        done = python(*torchrun, *arguments[1:], check=False)
    else:
        done = start_as_slurm_does(arguments, tmp_path)
    assert '3 inputs could not be read' in done.stderr
    assert done.stdout.count('backend: mmdet, fp32') == 1
    assert files_below(tmp_path / 'two') == files_below(tmp_path / 'one')


@pytest.mark.parametrize(
    ('sizes', 'num_parts', 'batch_size', 'expected'),
    [
        ('11111', 2, 1, ['ace', 'bd']),
        ('11111', 2, 2, ['abe', 'cd']),
        ('31111', 2, 1, ['ae', 'bcd']),
        ('11', 3, 1, ['a', 'b', '']),
    ],
)
def test_inputs_are_divided_by_frames(tmp_path, sizes, num_parts, batch_size, expected):
    sources = []
    for name, size in zip('abcde', sizes, strict=False):
        image = picture(0)
        if size != '1':
            image = save_video(tmp_path / f'{name}.avi', [image] * int(size))
        sources.append(Source(name, image))
    parts = divide(sources, num_parts, batch_size)
    assert [''.join(source.name for source in part) for part in parts] == expected


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'num_workers': 0}, '0 workers'),
        ({'launcher': 'mpi'}, "launcher 'mpi'"),
        ({'launcher': 'pytorch', 'num_workers': 2}, 'expected one of them'),
        ({'launcher': 'pytorch'}, 'pytorch did not start this process .*RANK'),
        ({'backend': 'fast'}, "backend 'fast'"),
    ],
)
def test_wrong_settings_have_a_message(
    retinanet, tmp_path, monkeypatch, settings, message
):
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    file = save(tmp_path / 'a.png', picture(0))
    with pytest.raises(UserError, match=message):
        run(retinanet, file, tmp_path / 'out', **settings)
