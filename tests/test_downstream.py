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


def test_a_backbone_of_its_own_keeps_the_contract_of_mmeff_s(python):
    code = """
import sys, torch
from mmengine.config import Config
from mmdet.registry import MODELS
backbone = MODELS.build(Config.fromfile(sys.argv[1]).model.backbone).eval()
image = torch.rand(1, 3, 75, 117)
for stage, stride in zip(backbone(image), backbone.out_strides):
    print(stage.shape[1], abs(stage.shape[3] - 117 / stride) < 1)
print(MODELS.build(dict(type='GhostOSANet', out_indices=(0,))).out_channels)
"""
    path = DOWNSTREAM / 'configs' / 'own_backbone.py'
    lines = python('-c', 'import mmeff' + code, path).stdout.splitlines()
    assert lines[-4:] == ['64 True', '96 True', '128 True', '(32,)']


def test_its_detector_trains_with_mmeff_s_tools(python, tiny_shapes, tmp_path):
    path = DOWNSTREAM / 'configs' / 'own_backbone.py'
    code = 'import sys; from mmeff.cli import main; sys.exit(main(sys.argv[1:]))'
    options = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    arguments = ['train', path, '--data', tiny_shapes, '--work-dir', tmp_path / 'run']
    python('-c', code, *arguments, '--cfg-options', *options)
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()
