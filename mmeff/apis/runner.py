"""Build a Runner and run it, with the errors of data and config as messages."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from mmeff.datasets import adopt
from mmeff.engine.console import build_quietly
from mmeff.engine.faults import describe_fault
from mmeff.errors import UserError


def prepare(cfg: Config, work_dir, data, classes, cfg_options, launcher) -> Config:
    """Settings that training and testing share, in the order of their precedence."""
    cfg.work_dir = str(work_dir or Path('work_dirs') / Path(cfg.filename).stem)
    cfg.launcher = launcher
    _check_writable(Path(cfg.work_dir))
    _set_train_loop(cfg)
    if data is not None:
        lines = adopt(cfg, data, cfg.work_dir, classes=classes)
        if os.environ.get('RANK', '0') == '0':  # before the process group exists
            print('\n'.join(lines))
        cfg.merge_from_dict(dict(cfg_options or {}))  # what is asked for wins
    elif classes is not None:
        raise UserError('--classes chooses classes of --data; give both')
    for loader in (
        cfg.get('train_dataloader'),
        cfg.get('val_dataloader'),
        cfg.get('test_dataloader'),
    ):
        if loader and loader.get('num_workers') == 0:  # torch refuses the pair
            loader.persistent_workers = False
    return cfg


def _check_writable(work_dir: Path) -> None:
    """Raise now what the first checkpoint would find out after an epoch."""
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise UserError(
            f'work dir {work_dir}: nothing can be written there ({error.strerror}). '
            'Choose another with --work-dir, or mend its rights or its disk'
        ) from error


def _set_train_loop(cfg: Config) -> None:
    """Take the loop that can be resumed in the middle of an epoch for mmengine's."""
    loop = cfg.get('train_cfg') or {}
    if loop.get('type') == 'EpochBasedTrainLoop' or loop.get('by_epoch') is True:
        loop.pop('by_epoch', None)
        loop.type = 'mmeff.EpochTrainLoop'


def build_runner(cfg: Config) -> Runner:
    """A Runner, or a message about the config it cannot be built from.

    Raises:
        UserError: A part of the config is wrong.
    """
    with friendly_errors():
        try:
            return build_quietly(lambda: Runner.from_cfg(cfg))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f'the config cannot be built: {error}') from error


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Turns what the stack raises over missing or broken data into `UserError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(
            f'{error}. Put the data set where the config expects it '
            '(`*_dataloader.dataset.data_root`), or train on a folder of yours with '
            '--data PATH'
        ) from error
    except OSError as error:
        fault = describe_fault(error)
        if fault is None:
            raise
        raise UserError(fault) from error
    except AssertionError as error:
        # mmcv's loader asserts that an image was decoded
        _, found, path = str(error).rpartition('failed to load image: ')
        if not found:
            raise
        raise UserError(
            f'image {path.strip()} cannot be decoded: the file is damaged or not an '
            'image. Replace it, or remove it from the annotations'
        ) from error
