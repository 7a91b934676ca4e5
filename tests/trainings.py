"""Small trainings as processes: start them, disturb them, compare what they leave."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from mmeff.checkpoints.safe import load_file

from processes import clean_env
from tiny_detectors import MASK_RCNN

TRAIN = Path(__file__).parents[1] / 'tools' / 'train.py'
TIMES = ('time', 'data_time', 'memory')

# RPN and RoI head sample at random in the process that trains, images are changed in a
# worker, the rate warms up, and 8 images make 4 batches, of which 3 make a step.
CONFIG = (
    MASK_RCNN
    + """
model.update(
    train_cfg=dict(rpn=dict(sampler=dict(num=32)), rcnn=dict(sampler=dict(num=16))))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PhotoMetricDistortion'),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline[1].update(scale=(64, 64))
train_dataloader = dict(
    batch_size=2, num_workers=1,
    dataset=dict(
        pipeline=train_pipeline, filter_cfg=dict(filter_empty_gt=True, min_size=8)))
val_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(pipeline=test_pipeline))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(type='MultiStepLR', by_epoch=True, milestones=[3], gamma=0.1),
]
optim_wrapper = dict(optimizer=dict(lr=0.01, momentum=0.9))
auto_scale_lr = dict(enable=False)
default_hooks = dict(logger=dict(interval=1))
"""
)
FLAGS = ('--ema', '0.01', '--accumulate', '3')


class Training:
    """One work dir `run` in a folder, trained by `tools/train.py` with fixed arguments.

    Args:
        folder: Is made; the config is written to it.
        data: Folder for --data.
        options: Settings for --cfg-options, such as `train_cfg.max_epochs=3`.
        config: Text of the config.
    """

    def __init__(
        self, folder: Path, data: Path, *options: str, config: str = CONFIG
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'config.py').write_text(config)
        self.folder, self.run, self.env = folder, folder / 'run', clean_env()
        self.arguments = ['config.py', '--data', str(data), '--work-dir', 'run']
        self.arguments += [*FLAGS, '--cfg-options', *options]

    def start(self, *extra: str, before: tuple[str, ...] = ()) -> subprocess.Popen:
        """Args: extra: Flags; before: What to put before the script, such as torchrun."""
        command = [sys.executable, *before, str(TRAIN), *self.arguments, *extra]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *extra: str, status: int = 0) -> str:
        """Train; returns what it said."""
        process = self.start(*extra)
        said = process.communicate()[0]
        assert process.returncode == status, said[-3000:]
        assert 'Traceback' not in said
        return said


def wait_for(process: subprocess.Popen, text: str) -> str:
    """Read what a process says up to the first line with `text`, which is returned."""
    said = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            return line
    raise AssertionError(f'ended without {text!r}: {"".join(said)[-3000:]}')


def weights_of(run: Path) -> set[str]:
    """Names of the checkpoints in a work dir."""
    return {path.name for path in run.glob('*.pth')}


def differences(one: Path, other: Path) -> list[str]:
    """Where two checkpoints differ in a bit; times do not count."""
    return list(_compare(load_file(str(one)), load_file(str(other)), ''))


def _compare(one, other, where: str):
    if type(one) is not type(other):
        yield f'{where}: {type(one)} {type(other)}'
    elif isinstance(one, dict):
        if one.keys() != other.keys():
            yield f'{where}: {one.keys() ^ other.keys()}'
        for key in one.keys() & other.keys():
            if not _is_of_time(f'{where}/{key}'):
                yield from _compare(one[key], other[key], f'{where}/{key}')
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield f'{where}: {len(one)} {len(other)}'
        for i, pair in enumerate(zip(one, other, strict=False)):
            yield from _compare(*pair, f'{where}/{i}')
    elif not _is_same(one, other):
        yield f'{where}: {one!r:.80} {other!r:.80}'


def _is_of_time(where: str) -> bool:
    names = ('/meta/time', '/meta/experiment_name', '/meta/cfg')
    ends = tuple(f'/{name}' for name in (*TIMES, 'eta', 'experiment_name', 'cfg'))
    in_hub = where.startswith('/message_hub/')
    return where in names or (in_hub and where.endswith((*ends, *TIMES)))


def _is_same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, HistoryBuffer):
        return all(map(np.array_equal, one.data, other.data))
    if isinstance(one, str):  # paths are those of two folders
        return Path(one).name == Path(other).name
    return bool(np.array_equal(one, other))
