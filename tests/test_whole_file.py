"""Files appear whole or not at all, whoever writes them."""

import os
import resource
import subprocess
import sys
from contextlib import suppress

import pytest
from mmengine.config import Config
from mmengine.fileio import LocalBackend

from mmeff.engine.checkpoints import remove_unfinished
from mmeff.whole_file import UNFINISHED, whole_file


@pytest.fixture
def small_files():
    """No file can have more than 10,000 bytes, as with a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_file_has_its_place_when_it_is_complete(tmp_path):
    path = tmp_path / 'folder' / 'table.csv'
    with whole_file(path) as unfinished:
        assert unfinished.suffix == '.csv'
        unfinished.write_text('1,2')
        assert not path.exists()
    assert path.read_text() == '1,2'
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / 'table.csv'
    path.write_text('old')
    with suppress(ZeroDivisionError), whole_file(path) as unfinished:
        unfinished.write_text('ne')
        raise ZeroDivisionError
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_killed_writer_leaves_what_the_next_training_deletes(tmp_path):
    code = (
        'import os, sys\n'
        'from mmeff.whole_file import whole_file\n'
        'for name in ("epoch_1.pth", "metrics.json"):\n'
        '    if os.fork() == 0:\n'
        '        with whole_file(f"{sys.argv[1]}/{name}") as file:\n'
        '            file.write_text("half")\n'
        '            os.kill(os.getpid(), 9)\n'
        '    os.wait()\n'
    )
    subprocess.run([sys.executable, '-c', code, str(tmp_path)], check=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.startswith(UNFINISHED) for name in names] == [True, True]
    remove_unfinished(tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith('-metrics.json')


def test_config_of_a_run_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / 'config.py'
    Config({'epochs': 1}).dump(path)

    def die(handle):
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', die)
        with pytest.raises(InterruptedError):
            Config({'epochs': 2}).dump(path)
    assert Config.fromfile(path).epochs == 1


def test_write_without_room_says_how_much_is_needed(tmp_path, small_files):
    path = tmp_path / 'epoch_1.pth'
    LocalBackend().put(b'good', path)
    with pytest.raises(OSError, match=r'2\.0 MiB are needed, \d+\.\d MiB are free'):
        LocalBackend().put(bytes(2 * 2**20), path)
    assert path.read_bytes() == b'good'
    assert list(tmp_path.iterdir()) == [path]


def test_names_may_be_as_long_as_the_system_allows(tmp_path):
    file = tmp_path / f'{"é" * 125}.json'  # 255 bytes
    with whole_file(file) as unfinished:
        unfinished.write_text('{}')
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
