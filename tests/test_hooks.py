"""Importing mmeff: light, in any order, and not needed for `type='mmeff.VoVNet'`."""

import subprocess
import sys

import pytest

BUILD = "MODELS.build(dict(type='mmeff.VoVNet', arch='27-slim'))"


def test_import_is_light(python):
    code = "import mmeff, sys; print([m for m in ('torch', 'mmengine', 'numpy') if m in sys.modules])"
    assert python('-c', code).stdout.strip() == '[]'


def test_backbone_builds_with_no_import_of_mmeff(python):
    python('-c', f'from mmdet.registry import MODELS; {BUILD}')


@pytest.mark.parametrize(
    'first', ['import mmeff, mmdet.apis', 'import mmengine.runner, mmdet; import mmeff']
)
def test_patches_hold_in_either_order(python, first):
    code = f"""
{first}
import mmengine, mmdet.models
from mmengine.config.utils import MODULE2PACKAGE
from mmeff.compat.packages import is_installed
from mmeff.checkpoints.safe import load_file
from mmengine.runner.checkpoint import CheckpointLoader
assert MODULE2PACKAGE['mmeff'] == 'mmeff'
assert mmengine.utils.is_installed is is_installed
assert mmengine.config.config.is_installed is is_installed
assert CheckpointLoader._get_checkpoint_loader('x.pth') is load_file
assert mmdet.models.SSDHead.loss_cls is None
"""
    python('-c', code)


def test_torch_alone_does_not_import_mmeff(python):
    code = """
import torch, sys
assert 'mmeff' not in sys.modules
assert 'mmeff_autoload' in sys.modules
"""
    python('-c', code)


def test_a_compiled_mmcv_is_left_alone(python, tmp_path):
    """An `_ext` inside mmcv's folder wins over ours (a stand-in for the binary)."""
    code = f"""
import mmeff, mmcv, importlib.util
mmcv.__path__.insert(0, {str(tmp_path)!r})
print(importlib.util.find_spec('mmcv._ext').origin)
"""
    (tmp_path / '_ext.py').write_text('')
    assert python('-c', code).stdout.strip() == str(tmp_path / '_ext.py')


def test_mmengine_finds_the_extension_by_its_spec(python):
    code = """
import mmeff
from mmengine.utils.dl_utils import mmcv_full_available
from mmcv.utils.ext_loader import check_ops_exist
assert mmcv_full_available() and check_ops_exist()
"""
    python('-c', code)


def test_startup_file_is_installed_only_when_asked(tmp_path):
    """`mmeff hooks install` in an environment of its own: every Python loads mmeff."""
    venv = tmp_path / 'venv'
    subprocess.run(
        [sys.executable, '-m', 'venv', '--without-pip', venv, '--system-site-packages'],
        check=True,
    )
    python = venv / 'bin' / 'python'
    import mmeff

    root = str(__import__('pathlib').Path(mmeff.__file__).parents[1])
    loaded = "import sys; print('mmeff' in sys.modules)"

    def run(*arguments, **env):
        done = subprocess.run(
            [python, *arguments],
            env={'PYTHONPATH': root, **env},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    action = 'from mmeff.apis import hooks; print(hooks.{}())'
    assert run('-c', action.format('status')).startswith('not installed')
    assert run('-c', loaded) == 'False'
    run('-c', action.format('install'))
    assert run('-c', action.format('status')).startswith('installed')
    assert run('-c', loaded) == 'True'
    assert run('-c', loaded, PYTHONPATH='') == 'False'  # uninstalled: no error
    run('-c', action.format('remove'))
    assert run('-c', loaded) == 'False'
