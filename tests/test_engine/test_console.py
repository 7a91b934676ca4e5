"""What the terminal says between the command and the first iteration."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmeff.config import CONFIGS
from mmeff.engine.console import build_quietly


def build(work_dir: Path, **settings) -> Runner:
    cfg = Config.fromfile(CONFIGS / 'shufflenetv2_retinanet.py')
    cfg.merge_from_dict({'work_dir': str(work_dir), **settings})
    return build_quietly(lambda: Runner.from_cfg(cfg))


def test_the_start_is_in_the_log_file_and_not_on_the_terminal(tmp_path, capsys):
    runner = build(tmp_path)
    runner.logger.info('paramwise_options -- and so on')
    assert capsys.readouterr().out == ''
    (log,) = tmp_path.glob('*/*.log')
    text = log.read_text()
    for start in (
        'System environment',
        'Config:',
        'Hooks will be',
        'paramwise_options',
    ):
        assert start in text


def test_warnings_and_the_run_itself_are_on_the_terminal(tmp_path, capsys):
    runner = build(tmp_path)
    runner.logger.warning('be careful')
    assert 'be careful' in capsys.readouterr().out
    runner.call_hook('before_run')
    runner.logger.info('Epoch(train) [1][1/9]')
    assert 'Epoch(train) [1][1/9]' in capsys.readouterr().out


def test_warnings_of_the_construction_are_not_lost(tmp_path, capsys):
    def construct():
        runner = Runner.from_cfg(cfg)
        MMLogger.get_current_instance().warning('found while building')
        return runner

    cfg = Config.fromfile(CONFIGS / 'shufflenetv2_retinanet.py')
    cfg.work_dir = str(tmp_path)
    build_quietly(construct)
    assert 'found while building' in capsys.readouterr().out


def test_an_error_of_the_construction_is_raised(tmp_path):
    with pytest.raises(KeyError, match='Nothing'):
        build(tmp_path, model={'backbone': {'type': 'mmeff.Nothing'}})
