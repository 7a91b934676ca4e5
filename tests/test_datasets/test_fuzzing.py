"""Whatever the files hold, the readers end with data or with a message.

Run with `-m slow` for 10,000 cases instead of 500.
"""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmeff.datasets import make_shapes, read_folder
from mmeff.datasets.check import check_folder
from mmeff.datasets.repair import repair
from mmeff.errors import UserError

# What a training may refuse although each entry is as it should be.
NOT_ENOUGH = ('is kept', 'expected at least 2 images')

number = st.one_of(
    st.integers(-5, 200),
    st.integers(),
    st.floats(),
    st.floats(-10, 200),
    st.sampled_from([10**400, -0.0, 2**63, 1e308, 5e-324]),
)
text = st.one_of(
    st.text(max_size=12),
    st.sampled_from(['1', '12.5', 'nan', '1e999', '../a.jpg', '/etc/hostname', 'a\nb']),
)
scalar = st.one_of(st.none(), st.booleans(), number, text)
value = st.recursive(
    scalar,
    lambda inner: st.one_of(
        st.lists(inner, max_size=8), st.dictionaries(text, inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.fixture(scope='module')
def small(tmp_path_factory) -> Path:
    """Three train images and one val image; not to be changed."""
    return make_shapes(tmp_path_factory.mktemp('fuzz') / 'shapes', 3, 1, (32, 40))


@pytest.fixture(params=[100, pytest.param(2000, marks=pytest.mark.slow)])
def fuzz(request):
    """fuzz(strategy, function) calls the function with that many values."""

    def run(strategy, function):
        @settings(
            max_examples=request.param,
            deadline=timedelta(seconds=60),  # a hang, on a busy machine
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def case(drawn):
            function(drawn)

        case()

    return run


def files_below(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob('*'))


def attempt(function):
    """(result, None), or (None, message)."""
    try:
        return function(), None
    except UserError as error:
        return None, str(error)


def read_all_ways(root: Path, tmp_path: Path) -> None:
    """Check, train and repair; what the check accepts, training accepts as well."""
    before = files_below(root)
    cache, copy = tmp_path / 'cache', tmp_path / 'copy'
    check, message = attempt(lambda: check_folder(root))
    assert str(root) in (message or str(root))
    if check is not None:
        assert str(root) in (attempt(lambda: repair(check, copy))[1] or str(root))
        if copy.exists():
            assert not check_folder(copy).totals
    refused = attempt(lambda: read_folder(root, cache))[1]
    if refused is not None:
        assert str(root) in refused
        assert not cache.exists()
    if refused is not None and check is not None and not check.totals:
        assert any(words in refused for words in NOT_ENOUGH)
    assert files_below(root) == before
    assert {path.name for path in tmp_path.iterdir()} <= {root.name, 'cache', 'copy'}
    shutil.rmtree(cache, ignore_errors=True)
    shutil.rmtree(copy, ignore_errors=True)


def paths(node, prefix=()):
    """The way to each value of a json document."""
    yield prefix
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield from paths(node[key], (*prefix, key))


def put(document, path, new):
    """The document with one value replaced."""
    if not path:
        return new
    copied = dict(document) if isinstance(document, dict) else list(document)
    copied[path[0]] = put(copied[path[0]], path[1:], new)
    return copied


def test_values_of_a_coco_file(small, tmp_path, fuzz):
    root = tmp_path / 'data'
    for name in ('annotations', 'train', 'val'):
        shutil.copytree(small / name, root / name)
    file = root / 'annotations' / 'instances_train.json'
    good = json.loads(file.read_text())
    places = [path for path in paths(good) if path]

    def case(changes):
        content = good
        for path, new in changes:
            try:
                content = put(content, path, new)
            except (KeyError, IndexError, TypeError):
                continue  # the place is gone with an earlier change
        file.write_text(json.dumps(content))
        read_all_ways(root, tmp_path)

    change = st.tuples(st.sampled_from(places), value)
    fuzz(st.lists(change, min_size=1, max_size=4), case)


def damaged_bytes(good: bytes):
    """Bytes of a file with some parts replaced, or anything at all."""
    cut = st.tuples(
        st.integers(0, len(good)), st.integers(0, 40), st.binary(max_size=20)
    )

    def apply(cuts):
        data = good
        for start, length, new in cuts:
            data = data[:start] + new + data[start + length :]
        return data

    return st.one_of(
        st.binary(max_size=200), st.lists(cut, min_size=1, max_size=4).map(apply)
    )


@pytest.mark.parametrize('layout', ['coco', 'voc'])
def test_bytes_of_an_annotation_file(layout, small, tmp_path, fuzz):
    root = tmp_path / 'data'
    if layout == 'coco':
        for name in ('annotations', 'train', 'val'):
            shutil.copytree(small / name, root / name)
        file = root / 'annotations' / 'instances_train.json'
    else:
        shutil.copytree(small / 'VOC2007', root)
        file = root / 'Annotations' / 'train_000001.xml'

    def case(data):
        file.write_bytes(data)
        read_all_ways(root, tmp_path)

    fuzz(damaged_bytes(file.read_bytes()), case)


def test_values_of_a_voc_file(small, tmp_path, fuzz):
    root = shutil.copytree(small / 'VOC2007', tmp_path / 'data')
    file = root / 'Annotations' / 'train_000001.xml'
    content = st.one_of(
        st.integers(-5, 60).map(str),
        number.map(lambda v: f'{v:g}' if isinstance(v, float) else str(v)[:50]),
        st.text(
            st.characters(exclude_characters='<&', categories=('L', 'N', 'P', 'Z'))
        ),
    )
    corner = st.sampled_from(['xmin', 'ymin', 'xmax', 'ymax', 'zmax'])
    box = st.lists(st.tuples(corner, content), max_size=5)
    item = st.tuples(content, content, box)
    size = st.one_of(st.just(('40', '32')), st.tuples(content, content))

    def case(drawn):
        (width, height), items = drawn
        objects = ''.join(
            f'<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>'
            + ''.join(f'<{key}>{v}</{key}>' for key, v in corners)
            + '</bndbox></object>'
            for name, difficult, corners in items
        )
        file.write_text(
            f'<annotation><size><width>{width}</width><height>{height}</height></size>'
            f'{objects}</annotation>',
            encoding='utf-8',
        )
        read_all_ways(root, tmp_path)

    fuzz(st.tuples(size, st.lists(item, max_size=3)), case)


def test_yolo_text_and_yaml(small, yolo_of, tmp_path, fuzz):
    root = yolo_of(small, tmp_path / 'data', polygons=True)
    labels, names = root / 'labels' / 'train' / 'train_000001.txt', root / 'data.yaml'
    good = names.read_bytes()
    word = st.one_of(
        st.floats(0, 1).map(str),
        st.integers(0, 3).map(str),
        number.map(repr_short),
        text,
    )
    line = st.one_of(
        st.lists(word, max_size=9).map(' '.join),
        st.lists(st.floats(0, 1).map(str), min_size=4, max_size=10).map(
            lambda values: ' '.join(['0', *values])
        ),
    )
    yaml_values = st.dictionaries(
        st.sampled_from(['names', 'train', 'val', 'test', 'path']), value, max_size=5
    ).map(lambda content: json.dumps(content).encode())
    contents = st.one_of(st.just(good), damaged_bytes(good), yaml_values)

    def case(drawn):
        lines, content = drawn
        labels.write_bytes('\n'.join(lines).encode(errors='replace'))
        names.write_bytes(content)
        read_all_ways(root, tmp_path)

    fuzz(st.tuples(st.lists(line, max_size=4), contents), case)


def repr_short(value: float) -> str:
    return repr(value) if isinstance(value, float) else str(value)[:50]
