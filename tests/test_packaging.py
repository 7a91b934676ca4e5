"""A built wheel has everything, and works away from the clone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mmeff

from processes import DOWNSTREAM

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that no old build folder can add files."""
    source, out = (tmp_path_factory.mktemp(name) for name in ('source', 'wheel'))
    names = ['setup.py', 'pyproject.toml', 'README.md', 'configs', 'tools', 'mmeff']
    copy = ['cp', '-a', *(str(ROOT / name) for name in names), str(source)]
    subprocess.run(copy, check=True)
    pip = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps']
    subprocess.run([*pip, '--no-build-isolation', '-w', out, source], check=True)
    (path,) = out.glob('*.whl')
    return path


def test_configs_and_tools_travel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools'):
        files = [path.relative_to(ROOT) for path in (ROOT / folder).rglob('*.py')]
        assert files
        assert {f'mmeff/.mim/{path.as_posix()}' for path in files} <= names
    assert 'mmeff/.mim/model-index.yml' in names
    assert not [name for name in names if name.endswith('.pth')]


def test_wheel_works_away_from_the_clone(wheel, python, tmp_path):
    """Unpacked first on the path, the wheel hides the clone."""
    site = tmp_path / 'site'
    zipfile.ZipFile(wheel).extractall(site)
    path = f'{site}:{DOWNSTREAM}'
    code = """
import torch, sys
assert 'mmeff' not in sys.modules and 'mmeff_autoload' in sys.modules
from mmdet.registry import MODELS
print(MODELS.build(dict(type='mmeff.VoVNet', arch='27-slim')).out_channels)
from mmengine.config import Config
for config in sys.argv[1:]:
    print(Config.fromfile(config).model.backbone.arch)
print(sys.modules['mmeff'].__file__)
"""
    configs = [
        DOWNSTREAM / 'configs' / name for name in ('by_name.py', 'without_hooks.py')
    ]
    lines = python('-c', code, *configs, PYTHONPATH=path).stdout.splitlines()
    assert lines[-4:-1] == ['(128, 256, 384, 512)', 'v2-19-slim-dw', '57']
    assert Path(lines[-1]).parent == site / 'mmeff'
    command = "import sys; from mmeff.cli import main; sys.exit(main(['train', '-h']))"
    help_text = python('-c', command, PYTHONPATH=path).stdout
    assert '--data' in help_text


def test_version_is_the_package_s(wheel):
    assert wheel.name.split('-')[1] == mmeff.__version__
