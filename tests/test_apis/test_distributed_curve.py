"""Two processes with gloo against one with the same images a step."""

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import SSDLITE, WITH_BATCH_NORM

from mmeff.checkpoints.detector import build_detector
from mmeff.checkpoints.safe import load_file
from mmeff.config import load_config

from processes import clean_env

TOOLS = Path(__file__).parents[2] / 'tools'
# What the configs below import. With norms of fixed statistics rounding is not amplified:
# with GroupNorm on maps of one cell, images of a batch in another order are enough to
# change the loss of one process by a thousandth within ten steps.
MODULE = """
from pathlib import Path
from mmdet.registry import HOOKS, TRANSFORMS
from mmengine.hooks import Hook
from torch import nn

@TRANSFORMS.register_module()
class Poison:
    def __call__(self, results):
        results['img'] = results['img'].astype('float32')
        if Path(results['img_path']).stem == 'train_000005':
            results['img'][:] = float('nan')
        return results

@HOOKS.register_module()
class FixedStatistics(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for module in runner.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
"""
CONFIG = f"""{WITH_BATCH_NORM}
custom_imports['imports'].append('parts')
custom_hooks = [*_base_.custom_hooks, dict(type='FixedStatistics')]
optim_wrapper['optimizer']['lr'] = 0.1
"""
POISONED = f"{CONFIG}\ntrain_pipeline.insert(3, dict(type='Poison'))\n"
pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def start(tool: str, arguments: list, folder: Path, processes: int = 1):
    """A tool, with torchrun where there are several processes; gives what it printed."""
    command = [sys.executable]
    if processes > 1:
        command += ['-m', 'torch.distributed.run', '--nproc_per_node', processes]
        command += ['--master_port', free_port()]
        arguments = [*arguments, '--launcher', 'pytorch']
    env = clean_env()
    env['PYTHONPATH'] += os.pathsep + str(folder)
    return subprocess.run(
        list(map(str, [*command, TOOLS / f'{tool}.py', *arguments])),
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture
def train(tiny_shapes, tmp_path):
    """train(name, config, processes, options...) -> the finished training."""

    def go(name, config, processes, *options, flags=()):
        path = tmp_path / f'{name}.py'
        path.write_text(config)
        (tmp_path / 'parts.py').write_text(MODULE)
        settings = [
            f'train_dataloader.batch_size={4 // processes}',
            'default_hooks.checkpoint.interval=6',
            'log_processor.window_size=1',
            *options,
        ]
        arguments = [path, '--data', tiny_shapes, '--work-dir', tmp_path / name]
        arguments += [*flags, '--cfg-options', *settings]
        return start('train', arguments, tmp_path, processes)

    return go


def curve(work_dir: Path) -> dict[str, list[float]]:
    """Losses of the log, by name."""
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows = [row for row in rows if 'loss' in row]
    return {
        name: [row[name] for row in rows] for name in rows[0] if name.startswith('loss')
    }


def assert_same_weights(first: Path, second: Path) -> None:
    one, two = (load_file(path)['state_dict'] for path in (first, second))
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-5)


def test_loss_curve_and_weights_are_those_of_one_process(train, tmp_path):
    epochs = 'train_cfg.max_epochs=6'
    for name, processes in (('one', 1), ('two', 2)):
        done = train(name, CONFIG, processes, epochs)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = curve(tmp_path / 'one'), curve(tmp_path / 'two')
    assert set(one) == {'loss', 'loss_cls', 'loss_bbox'}
    for name, losses in one.items():
        assert len(losses) == 12
        assert two[name] == pytest.approx(losses, rel=1e-5)
    assert sum(one['loss'][-2:]) < 0.95 * sum(one['loss'][:2])  # it learns
    assert_same_weights(tmp_path / 'one/epoch_6.pth', tmp_path / 'two/epoch_6.pth')


def test_all_processes_leave_out_the_same_steps(train, tmp_path):
    options = ('train_cfg.max_epochs=6', 'train_dataloader.sampler.shuffle=False')
    done = train('two', POISONED, 2, *options, flags=('--nan-guard', 'skip'))
    assert done.returncode == 0, done.stderr[-3000:]
    # of the second step, of which only the second process has seen the bad image
    sound = 'train_dataloader.dataset.indices=[0,1,2,3]'
    done = train('one', CONFIG, 1, *options, sound)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_weights(tmp_path / 'one/epoch_6.pth', tmp_path / 'two/epoch_6.pth')
    saved = sorted(path.name for path in (tmp_path / 'two').glob('invalid_*/*'))
    assert saved == [f'iter_{i}_rank_1.npz' for i in (10, 12, 2, 4, 6, 8)]


def test_all_processes_stop_at_a_loss_that_is_no_number(train, tmp_path):
    shuffle = 'train_dataloader.sampler.shuffle=False'
    done = train('two', POISONED, 2, shuffle)
    assert done.returncode != 0
    assert 'iteration 2: loss = nan' in done.stderr
    assert 'train_000005.jpg' in done.stderr
    assert 'iteration 2: a loss of another process is not finite' in done.stderr
    assert not list((tmp_path / 'two').glob('*.pth'))


def test_evaluation_by_two_processes_is_that_of_one(tiny_shapes, tmp_path):
    config, weights = tmp_path / 'config.py', tmp_path / 'weights.pth'
    config.write_text(SSDLITE)
    detector = build_detector(load_config(config), device='cpu')
    torch.save({'state_dict': detector.state_dict()}, weights)
    raw, metrics = [], []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        arguments = [config, weights, '--data', tiny_shapes, '--work-dir', folder]
        arguments += ['--out', folder / 'raw.pkl']
        arguments += ['--cfg-options', f'test_dataloader.batch_size={2 // processes}']
        done = start('test', arguments, tmp_path, processes)
        assert done.returncode == 0, done.stderr[-3000:]
        raw.append(pickle.loads((folder / 'raw.pkl').read_bytes()))
        metrics.append(json.loads((folder / 'metrics.json').read_text())['metrics'])
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-6)
    assert [image['img_id'] for image in raw[0]] == [1, 2, 3, 4]
    for one, two in zip(*raw, strict=True):
        assert one['img_id'] == two['img_id']
        assert len(one['pred_instances']['scores']) > 10
        for key, value in one['pred_instances'].items():
            torch.testing.assert_close(two['pred_instances'][key], value)
