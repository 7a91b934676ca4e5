"""A project outside mmeff inherits its configs and trains with its tools."""

import json

import pytest

from processes import DOWNSTREAM

READ = """
import json, sys
from mmengine.config import Config
cfg = Config.fromfile(sys.argv[1])
print(json.dumps(cfg.to_dict()['model']['backbone']))
"""


@pytest.mark.parametrize(
    ('config', 'before', 'arch'),
    [
        ('by_name.py', 'import mmeff', 'v2-19-slim-dw'),
        ('without_hooks.py', '', '57'),
    ],
)
def test_old_style_configs_inherit(python, config, before, arch):
    path = DOWNSTREAM / 'configs' / config
    backbone = json.loads(python('-c', before + READ, path).stdout.splitlines()[-1])
    assert backbone['type'] == 'mmeff.VoVNet'
    assert backbone['arch'] == arch


def test_configs_inherit_below_a_folder(python):
    code = READ.replace("['model']['backbone']", '')
    path = DOWNSTREAM / 'configs' / 'in_folder.py'
    cfg = json.loads(python('-c', 'import mmeff' + code, path).stdout)
    assert cfg['model']['arch'] == '27-slim'
    assert cfg['custom_imports']['imports'] == ['mmeff']


def test_new_style_config_builds(python):
    code = """
import sys
from mmengine.config import Config
from mmdet.registry import MODELS
cfg = Config.fromfile(sys.argv[1])
for part in (cfg.model, cfg.by_name):
    print(MODELS.build(part).out_channels)
print(Config.fromfile(cfg.base).model.backbone.arch)
"""
    path = DOWNSTREAM / 'configs' / 'new_style.py'
    lines = python('-c', code, path).stdout.splitlines()
    assert lines[-3:] == ['(128, 256)', '(128, 256)', '39']
