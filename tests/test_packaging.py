"""Source distribution and wheel have everything, and work away from the clone."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import mmeff

from processes import DOWNSTREAM, clean_env

ROOT = Path(__file__).parents[1]
SHIPPED = (
    *sorted(path.name for path in ROOT.glob('*.md')),
    '.pre-commit-config.yaml',
    'CITATION.cff',
    'LICENSE',
    'MANIFEST.in',
    'Makefile',
    'configs',
    'docs',
    'examples',
    'mmeff',
    'model-index.yml',
    'pyproject.toml',
    'setup.py',
    'tests',
    'tools',
)
# Made by what runs in a clone; must not be shipped.
LEFTOVERS = (
    'build/lib/mmeff/old.py',
    'data/shapes/shapes.json',
    'docs/_build/index.html',
    'mmeff/__pycache__/old.cpython-311.pyc',
    'tools/__pycache__/train.cpython-311.pyc',
    'work_dirs/run/epoch_1.pth',
)
SDIST = 'from setuptools import build_meta; build_meta.build_sdist(__import__("sys").argv[1])'


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """A copy of the clone with the leftovers of a day's work."""
    folder = tmp_path_factory.mktemp('source')
    for name in SHIPPED:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder)
            continue
        ignore = shutil.ignore_patterns('__pycache__', '_build')
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
    for name in LEFTOVERS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('left over')
    return folder


@pytest.fixture(scope='module')
def sdist(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('sdist')
    call = [sys.executable, '-c', SDIST, out]
    subprocess.run(call, cwd=source, check=True, capture_output=True)
    (path,) = out.glob('*.tar.gz')
    return path


@pytest.fixture(scope='module')
def wheel(sdist, tmp_path_factory) -> Path:
    """Built from the source distribution, as those do who have no wheel."""
    out = tmp_path_factory.mktemp('wheel')
    pip = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps']
    subprocess.run([*pip, '--no-build-isolation', '-w', out, sdist], check=True)
    (path,) = out.glob('*.whl')
    return path


def test_source_distribution_has_the_repository_and_nothing_else(source, sdist):
    with tarfile.open(sdist) as archive:
        files = [member.name for member in archive.getmembers() if member.isfile()]
    names = {name.partition('/')[2] for name in files}
    here = {
        str(Path(folder, file).relative_to(source))
        for folder, _, files in os.walk(source)
        for file in files
    }
    expected = {name for name in here - set(LEFTOVERS) if not name.startswith('build/')}
    assert expected <= names
    twice = {
        f'mmeff/.mim/{name}'
        for name in expected
        if name.startswith(('configs/', 'tools/'))
    }
    assert names - expected == {*twice, 'PKG-INFO', 'setup.cfg'}


def test_configs_and_tools_travel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools'):
        files = [path.relative_to(ROOT) for path in (ROOT / folder).rglob('*.py')]
        assert files
        assert {f'mmeff/.mim/{path.as_posix()}' for path in files} <= names
    metafiles = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert {f'mmeff/.mim/{name}' for name in ('model-index.yml', *metafiles)} <= names
    package = ('mmeff/', 'mmeff_autoload/', f'mmeff-{mmeff.__version__}.dist-info/')
    assert all(name.startswith(package) for name in names)
    assert not [name for name in names if name.endswith(('.pth', '.pyc'))]


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


def test_version_is_written_once_and_cited(sdist, wheel):
    assert wheel.name.split('-')[1] == mmeff.__version__
    assert sdist.name == f'mmeff-{mmeff.__version__}.tar.gz'
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))
    assert citation['version'] == mmeff.__version__
    assert {'cff-version', 'message', 'title', 'authors'} <= set(citation)


def test_hooks_before_a_commit_are_those_of_lint_and_need_no_network():
    content = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())
    assert [repo['repo'] for repo in content['repos']] == ['local']
    hooks = content['repos'][0]['hooks']
    assert {hook['language'] for hook in hooks} == {'system'}
    lint = (ROOT / 'Makefile').read_text().partition('\nlint:')[2].partition('\n\n')[0]
    for hook in hooks:
        assert ' '.join(hook['entry'].split()[:2]).split('/')[-1] in lint


WORKS = """
import sys, mmeff
from mmengine.hub import get_config
cfg = get_config('mmeff::vovnet39_maskrcnn.py')
from mmdet.registry import MODELS
print(MODELS.build(cfg.model.backbone).out_channels)
from mmcv.ops import batched_nms
print(mmeff.__version__, mmeff.__file__)
"""


def check(folder: Path, cwd: Path) -> None:
    """The commands and the configs of an environment in which mmeff is installed."""
    env = {k: v for k, v in clean_env().items() if k != 'PYTHONPATH'}

    def call(program: str, *arguments) -> str:
        process = subprocess.run(
            [folder / 'bin' / program, *map(str, arguments)],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stdout[-2000:] + process.stderr
        return process.stdout

    assert '\n  train ' in call('mmeff', '--help')
    assert call('mmeff', 'hooks', 'status')
    lines = call('python', '-c', WORKS).splitlines()
    assert lines[-2] == '(256, 512, 768, 1024)'
    version, _, file = lines[-1].partition(' ')
    assert version == mmeff.__version__
    assert Path(file).is_relative_to(folder)
    options = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=2']
    for loader in ('train_dataloader', 'val_dataloader'):
        options += [f'{loader}.dataset.indices=2', f'{loader}.num_workers=0']
    train = [
        'train',
        'vovnet27-slim_rtmdet.py',
        '--data',
        'shapes',
        '--work-dir',
        'run',
    ]
    call('mmeff', *train, '--cfg-options', *options)
    config = 'run/vovnet27-slim_rtmdet.py'
    image = 'data/shapes/val/val_000000.jpg'
    call('mmeff', 'predict', config, 'run/epoch_1.pth', image, '--out-dir', 'outputs')
    assert (cwd / 'outputs/predictions.json').is_file()


@pytest.mark.slow
def test_wheel_works_in_an_environment_of_its_own(wheel, tmp_path):
    """With the packages that are here already, and without this clone."""
    folder = tmp_path / 'env'
    subprocess.run([sys.executable, '-m', 'venv', folder], check=True)
    pip = [folder / 'bin' / 'python', '-m', 'pip', 'install', '-q', '--no-deps']
    subprocess.run([*pip, '--no-index', wheel], check=True)
    (site,) = folder.glob('lib/python*/site-packages')
    (site / 'others.pth').write_text(sysconfig.get_paths()['purelib'])
    check(folder, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('version', ['3.10', '3.11', '3.12', '3.13'])
def test_wheel_installs_with_all_it_needs(wheel, version, tmp_path):
    """From the package index, several GB for each Python: when asked for only."""
    if version not in os.environ.get('MMEFF_INSTALL_PYTHONS', '').split():
        pytest.skip(f'MMEFF_INSTALL_PYTHONS does not name {version}')
    folder = tmp_path / 'env'
    subprocess.run([f'python{version}', '-m', 'venv', folder], check=True)
    try:
        pip = [
            folder / 'bin' / 'python',
            '-m',
            'pip',
            'install',
            '-q',
            '--no-cache-dir',
        ]
        subprocess.run([*pip, f'{wheel}[lite]'], check=True)
        check(folder, tmp_path)
    finally:
        shutil.rmtree(folder)
