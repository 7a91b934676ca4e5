"""The analysis as users start it."""

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from PIL import Image

from mmeff.cli import run

TOOL = Path(__file__).parents[2] / 'tools' / 'analyze.py'
EVIL = '<script>alert(1)</script>'


@pytest.fixture
def analyze(capsys):
    """analyze(*arguments) -> (exit status, standard output, standard error)."""
    spec = spec_from_file_location('analyze_tool', TOOL)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        status = run(module.main, [str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return call


def truth():
    names = {1: 'cat', 2: EVIL, 9: 'unused'}
    return {
        'images': [{'id': i, 'file_name': f'{i}.jpg'} for i in (4, 5)],
        'annotations': [
            {'id': 1, 'image_id': 4, 'category_id': 1, 'bbox': [10, 10, 40, 40]},
            {'id': 2, 'image_id': 4, 'category_id': 2, 'bbox': [80, 10, 40, 40]},
            {'id': 3, 'image_id': 5, 'category_id': 1, 'bbox': [10, 10, 40, 40]},
        ],
        'categories': [{'id': i, 'name': name} for i, name in names.items()],
    }


def results():
    return [
        {'image_id': 4, 'category_id': 1, 'bbox': [10, 10, 40, 40], 'score': 0.9},
        {'image_id': 4, 'category_id': 1, 'bbox': [80, 10, 40, 40], 'score': 0.6},
        {'image_id': 5, 'category_id': 1, 'bbox': [30, 10, 40, 40], 'score': 0.05},
    ]


@pytest.fixture
def file(tmp_path):
    """file(name, content) -> path of a JSON file."""

    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_writes_tables_figures_and_a_page(analyze, file, tmp_path):
    out = tmp_path / 'new' / 'out'
    status, said, remarks = analyze(
        file('r.json', results()), file('t.json', truth()), '--out', out
    )
    assert status == 0
    assert remarks == ''
    assert re.search(r'cat +2 +3 +0\.505 +0\.505', said)
    assert re.search(r'classification +1', said)
    content = json.loads((out / 'analysis.json').read_text())
    assert [row['ap'] for row in content['classes']][1:] == [0, None]
    assert content['errors']['counts']['localisation'] == 1
    assert content['confusion']['score'] == 0.9
    for name in ('precision_recall', 'f1', 'confusion', 'errors'):
        with Image.open(out / f'{name}.png') as picture:
            assert min(picture.size) > 200
    page = (out / 'analysis.html').read_text()
    assert EVIL not in page
    assert '&lt;script&gt;' in page
    assert page.count('data:image/png;base64,') == 4
    assert "default-src 'none'" in page


def test_predictions_of_predict_are_told_by_their_names(analyze, file, tmp_path):
    """Ids count from 1 there, and names are relative to the folder of the inputs."""
    own = {
        'images': [
            {'id': 1, 'file_name': 'val/5.jpg'},
            {'id': 2, 'file_name': 'val/4.jpg'},
            {'id': 3, 'file_name': 'val/strange.jpg'},
        ],
        'annotations': [
            {**entry, 'image_id': {4: 2, 5: 1}[entry['image_id']], 'category_id': 7}
            for entry in results()
        ],
        'categories': [{'id': 7, 'name': 'cat'}, {'id': 8, 'name': 'dog'}],
    }
    paths = file('r.json', results()), file('own.json', own), file('t.json', truth())
    analyze(paths[0], paths[2], '--out', tmp_path / 'a')
    status, _, remarks = analyze(paths[1], paths[2], '--out', tmp_path / 'b')
    assert status == 0
    assert 'strange.jpg' in remarks
    assert 'dog' in remarks
    contents = [
        json.loads((tmp_path / name / 'analysis.json').read_text()) for name in 'ab'
    ]
    for key in ('stats', 'classes', 'errors', 'confusion'):
        assert contents[0][key] == contents[1][key]


def test_score_of_the_confusion_matrix(analyze, file, tmp_path):
    paths = file('r.json', results()), file('t.json', truth())
    analyze(*paths, '--out', tmp_path / 'out', '--score', 0.5)
    content = json.loads((tmp_path / 'out' / 'analysis.json').read_text())
    assert content['confusion']['matrix'] == [
        [1, 0, 0, 1],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_cut_off_scores_are_said(analyze, file, tmp_path):
    status, _, remarks = analyze(
        file('r.json', results()[:2]), file('t.json', truth()), '--out', tmp_path / 'o'
    )
    assert status == 0
    assert 'lowest score is 0.60' in remarks


def test_no_predictions(analyze, file, tmp_path):
    status, said, _ = analyze(
        file('r.json', []), file('t.json', truth()), '--out', tmp_path / 'out'
    )
    assert status == 0
    assert re.search(r'missed +3', said)


def test_without_objects(analyze, file, tmp_path):
    content = truth() | {'annotations': []}
    paths = file('r.json', results()), file('t.json', content)
    status, _, message = analyze(*paths, '--out', tmp_path / 'out')
    assert status == 2
    assert 'has no objects' in message


@pytest.mark.parametrize(
    ('predictions', 'expected'),
    [
        ('{', 'cannot be read as json'),
        ({'a': 1}, 'expected a COCO annotation file with images'),
        ('3', 'results is no list'),
        ([5], 'results[0] has no image_id'),
        ([{**results()[0], 'bbox': [1, 2, 3]}], 'four finite numbers'),
        ([{**results()[0], 'bbox': 'abcd'}], 'four finite numbers'),
        ([{**results()[0], 'score': float('nan')}], 'score nan'),
        ([{**results()[0], 'score': None}], 'score None'),
        ([{**results()[0], 'score': 10**400}], 'score 1000'),
        ([{**results()[0], 'area': 'wide'}], 'area wide'),
        ([{**results()[0], 'image_id': [1]}], 'image_id [1]'),
        ([{**results()[0], 'image_id': 77}], '1 of 1 results have an image_id'),
        ({**truth(), 'images': [{'id': 1}]}, 'names of images are not in'),
        ({**truth(), 'categories': [{'id': 1, 'name': 'x'}]}, 'names of classes'),
        (truth(), 'results[0] has no score'),
    ],
    ids=str,
)
def test_bad_predictions_are_one_message(
    analyze, file, tmp_path, predictions, expected
):
    paths = file('r.json', predictions), file('t.json', truth())
    status, said, message = analyze(*paths, '--out', tmp_path / 'out')
    assert status == 2
    assert said == ''
    assert len(message.strip().splitlines()) == 1
    assert message.startswith('error: ')
    assert expected in message
    assert not (tmp_path / 'out').exists()


def test_bad_ground_truth_and_folder(analyze, file, tmp_path):
    predictions, good = file('r.json', results()), file('t.json', truth())
    bad = file('bad.json', [1])
    assert 'expected a COCO annotation file' in analyze(predictions, bad)[2]
    assert 'nowhere.json' in analyze(predictions, tmp_path / 'nowhere.json')[2]
    blocked = analyze(predictions, good, '--out', good)
    assert blocked[0] == 2
    assert 'cannot write' in blocked[2]
