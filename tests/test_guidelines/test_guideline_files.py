"""Files are whole or not there."""

import json

import pytest

from mmeff.errors import UserError
from mmeff.guidelines.files import whole_file, write_json


def test_json_is_written_with_its_version_and_nothing_is_left_beside(tmp_path):
    path = tmp_path / 'sub' / 'a.json'
    write_json({'a': None}, path)
    assert json.loads(path.read_text('utf-8')) == {'format_version': 1, 'a': None}
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_write_keeps_the_file_as_it_was(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('before')

    def interrupted() -> None:
        with whole_file(path) as unfinished:
            unfinished.write_text('half')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match='nan'):
        write_json({'a': float('nan')}, tmp_path / 'a.json')
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot write'):
        write_json({}, tmp_path / 'file' / 'a.json')
