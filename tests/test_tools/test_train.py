"""The life of a detector through the tools: train, be killed, resume, test, report."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from processes import DOWNSTREAM, clean_env

TOOLS = Path(__file__).parents[2] / 'tools'
CONFIG = DOWNSTREAM / 'configs' / 'by_name.py'


def start(tool, *arguments, cwd, env=None) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, TOOLS / f'{tool}.py', *map(str, arguments)],
        cwd=cwd,
        env={**clean_env(), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(tool, *arguments, cwd, status=0) -> str:
    process = start(tool, *arguments, cwd=cwd)
    out, err = process.communicate()
    assert process.returncode == status, out[-3000:] + err
    assert 'Traceback' not in err
    return out if status == 0 else err


@pytest.fixture(scope='module')
def trained(tiny_shapes, tmp_path_factory) -> Path:
    """A finished training of three epochs, never interrupted."""
    folder = tmp_path_factory.mktemp('trained')
    out = run('train', CONFIG, '--data', tiny_shapes, '--work-dir', 'run', cwd=folder)
    assert 'classes (3): circle, rectangle, triangle' in out
    assert 'best checkpoint: ' in out
    return folder / 'run'


def weights(path: Path) -> dict[str, torch.Tensor]:
    import mmeff.checkpoints.safe as safe

    return safe.load_file(str(path))['state_dict']


def test_plain_log_lines_without_a_terminal(trained):
    (log,) = trained.glob('*/*.log')
    assert 'Epoch(train) [3][2/2]' in log.read_text()


def test_killed_training_resumes_to_the_same_weights(trained, tiny_shapes, tmp_path):
    arguments = (CONFIG, '--data', tiny_shapes, '--work-dir', 'run')
    process = start('train', *arguments, cwd=tmp_path)
    last = tmp_path / 'run' / 'last_checkpoint'
    while not last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / 'run' / 'epoch_3.pth').exists()
    out = run('train', *arguments, '--resume', cwd=tmp_path)
    assert 'resumed epoch: ' in out
    whole, resumed = (
        weights(trained / 'epoch_3.pth'),
        weights(tmp_path / 'run' / 'epoch_3.pth'),
    )
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_tested_from_its_work_dir_and_reported(trained, tmp_path):
    config, checkpoint = trained / CONFIG.name, trained / 'epoch_3.pth'
    arguments = (config, checkpoint, '--work-dir', 'eval', '--out', 'raw.pkl')
    out = run('test', *arguments, cwd=tmp_path)
    assert 'coco/bbox_mAP_50' in out
    result = json.loads((tmp_path / 'eval' / 'metrics.json').read_text())
    assert result['config'] == 'by_name'
    assert 0 <= result['metrics']['coco/bbox_mAP_50'] <= 1
    assert (tmp_path / 'raw.pkl').exists()
    quick = ('--rounds', 1, '--min-runs', 3, '--min-seconds', 0, '--out', 'eval')
    run('benchmark', config, '--checkpoint', checkpoint, *quick, cwd=tmp_path)
    table = run('report', 'eval', '--format', 'markdown', cwd=tmp_path)
    assert table.count('by_name') == 1  # one row: the weights are the same
    assert 'FPS' in table
    assert 'box AP50' in table


def test_bfloat16_training_runs(tiny_shapes, tmp_path):
    options = ('--cfg-options', 'train_cfg.max_epochs=1')
    run('train', CONFIG, '--data', tiny_shapes, '--amp', *options, cwd=tmp_path)
    (log,) = tmp_path.glob('work_dirs/*/*/*.log')
    assert 'AmpOptimWrapper' in log.read_text()
    assert (tmp_path / 'work_dirs' / 'by_name' / 'epoch_1.pth').exists()


@pytest.mark.slow
def test_two_processes_train_and_resume(tiny_shapes, tmp_path):
    """torchrun with gloo on CPUs: trains, saves, resumes, evaluates."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2']
    command += ['--master_port', '29641', TOOLS / 'train.py', CONFIG]
    command += ['--data', tiny_shapes, '--work-dir', 'run', '--launcher', 'pytorch']
    no_sync_bn = 'model.use_syncbn=False'  # torch has SyncBatchNorm for GPUs only
    for options in (['train_cfg.max_epochs=1'], ['train_cfg.max_epochs=2']):
        done = subprocess.run(
            [*map(str, command), '--resume', '--cfg-options', no_sync_bn, *options],
            cwd=tmp_path,
            env=clean_env(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert 'resumed epoch: 1' in done.stdout
    assert (tmp_path / 'run' / 'epoch_2.pth').exists()


@pytest.mark.slow
def test_stock_mmdet_tools_train_our_config(tiny_shapes, tmp_path, python):
    """mmdet's own tools/train.py on the config of a run, with nothing but its base."""
    import mmdet

    stock = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py'
    run_dir = tmp_path / 'run'
    run('train', CONFIG, '--data', tiny_shapes, '--work-dir', run_dir, cwd=tmp_path)
    options = ('--cfg-options', 'train_cfg.max_epochs=1')
    python(stock, run_dir / CONFIG.name, '--work-dir', tmp_path / 'stock', *options)
    assert (tmp_path / 'stock' / 'epoch_1.pth').exists()
