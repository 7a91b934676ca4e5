"""Result files that attack who makes a report of them."""

import copy
import csv
import io
import json
import os
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from mmeff.apis.analyze import analyze
from mmeff.apis.report import report
from mmeff.reporting.terminal import for_terminal

from result_files import benchmark, evaluation, write

HTML = '</script><img src=x onerror=alert(1)><svg/onload=alert(2)>" onclick="alert(3)'
FORMULA = '=cmd|"/c calc"!A1'
LINK = '[a](javascript:alert(1)) `x` | --> <!-- ${1} $template'
TERMINAL = '\x1b]0;owned\x07\x1b[2J[bold]\r\nnext'
ATTACKS = {'html': HTML, 'formula': FORMULA, 'link': LINK, 'terminal': TERMINAL}


def attacked(text: str, **options) -> dict:
    """A benchmark in which everything that can be a text is this one."""
    content = benchmark(text, **options)
    content['settings'].update(device=text, precision=text, image_shape=[text])
    content['settings']['backend'] = text
    content['environment'] = {text: text, 'cpu': text, 'timestamp': text}
    content['roofline']['method'] = text
    content['metrics'].update(uncounted_ops={text: 1}, throttled=True)
    content['metrics'].update(throttle_reasons=[text], reasons={'fps': text})
    for layer in content['layers']:
        layer.update(name=text, op=text, bound=text, output_shape=[text])
    for part in content['parts']:
        part['name'] = text
    return content


@pytest.fixture(params=ATTACKS)
def made(request, tmp_path):
    """Folder of a report on results full of an attack."""
    text = ATTACKS[request.param]
    results = write(
        tmp_path / 'results',
        a=attacked(text, weights='a', latency_ms=4.0),
        b=attacked(f'{text} 2', weights='b', latency_ms=5.0),
        c=attacked(text, weights='c', latency_ms=6.0),
        m=evaluation(text, 'a', bbox_mAP=0.3),
    )
    report([results], tmp_path / 'report', target_fps=30)
    return tmp_path / 'report'


def test_csv_has_no_formula(made):
    rows = list(csv.reader(io.StringIO((made / 'table.csv').read_text('utf-8'))))
    cells = [cell for row in rows for cell in row if cell]
    assert len({len(row) for row in rows}) == 1
    for cell in cells:
        assert cell.isprintable()
        if cell.lstrip()[:1] in ('=', '+', '-', '@'):
            float(cell)  # a number, and nothing else


def test_markdown_has_no_html_and_no_links(made):
    text = (made / 'table.md').read_text('utf-8')
    assert set(re.findall(r'<[^>]*>', text)) <= {'<sup>', '</sup>'}
    assert '](' not in text.replace('\\]', '')
    assert all(line.isprintable() for line in text.splitlines())


def test_figures_are_plain_pictures(made):
    figures = list((made / 'figures').glob('*.svg'))
    assert figures
    for file in figures:
        assert file.parent == made / 'figures'
        for element in ET.parse(file).iter():
            assert element.tag.rpartition('}')[2] not in ('script', 'image', 'a')
            assert not [key for key in element.attrib if key.startswith('on')]
            links = [v for k, v in element.attrib.items() if k.endswith('href')]
            assert all(link.startswith('#') for link in links)


def test_terminal_gets_no_control_characters(tmp_path):
    results = write(tmp_path, a=attacked(TERMINAL))
    shown = io.StringIO()
    made = report([results]).report
    console = Console(file=shown, width=200)
    console.print(for_terminal(made, 200))
    lines = [*shown.getvalue().splitlines(), *made.warnings]
    assert all(line.isprintable() for line in lines)
    assert any('owned' in line for line in lines)


def changed(content: dict, path: tuple, value) -> dict:
    content = copy.deepcopy(content)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


def places(content, before=()):
    """The way to each value; of lists the first one stands for all."""
    if before:
        yield before
    if isinstance(content, dict | list):
        keys = content if isinstance(content, dict) else range(min(1, len(content)))
        for key in keys:
            yield from places(content[key], (*before, key))


STRANGE = (10**400, 1e308, -1, None, True, '', [[]], {'a': {'b': [None]}}, '\ud800')


@pytest.mark.parametrize('kind', [benchmark, evaluation])
def test_any_value_anywhere_leaves_a_page(tmp_path, kind):
    options = {} if kind is benchmark else {'bbox_mAP': 0.3}
    content = kind('net', **options)
    paths = [path for path in places(content) if path[0] != 'samples']
    for number, path in enumerate(paths):
        value = STRANGE[number % len(STRANGE)]
        folder = write(tmp_path / 'results', a=changed(content, path, value))
        write(folder, b=benchmark('other', latency_ms=5.0))
        made = report([folder], tmp_path / 'page.html', target_fps=30)
        assert 'other' in [row.name for row in made.report.rows]
    assert len(paths) > 4


def test_endless_nesting_long_names_and_large_files(tmp_path, little_memory):
    deep = json.dumps(benchmark('deep')).replace('"forward"', '[' * 900 + ']' * 900, 1)
    long = benchmark('x' * 10**6, device='y' * 10**6)
    results = write(tmp_path / 'results', good=benchmark('good'), long=long)
    write(results, long2=benchmark('z' * 10**6, device='y' * 10**6, latency_ms=5.0))
    (results / 'deep.json').write_text(deep)
    with open(results / 'large.json', 'wb') as file:
        os.truncate(file.fileno(), 2**34)
    made = report([results], tmp_path / 'report')
    names = [row.name for row in made.report.rows]
    assert 'good' in names
    assert max(map(len, names)) < 200
    remarks = '\n'.join(made.report.warnings)
    assert 'nested more than 20 deep' in remarks
    assert 'large.json: larger than 64 MiB' in remarks
    assert (tmp_path / 'report' / 'report.html').stat().st_size < 2**20


def test_a_planted_link_is_not_followed_by_the_report(tmp_path):
    results = write(tmp_path / 'results', a=benchmark('net'))
    other = tmp_path / 'other'
    other.write_text('mine')
    (tmp_path / 'report').mkdir()
    for name in ('table.md', 'table.csv', 'report.html'):
        (tmp_path / 'report' / name).symlink_to(other)
    report([results], tmp_path / 'report')
    assert other.read_text() == 'mine'


# -------------------------------------------------------------------------- analysis


@pytest.mark.parametrize('text', [*ATTACKS.values(), '$\\frac{', 'n' * 10**5, '_'])
def test_analysis_of_classes_with_any_name(tmp_path, text, little_memory):
    coco = {
        'images': [{'id': 1, 'file_name': text, 'width': 64, 'height': 64}],
        'annotations': [
            {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 9, 9], 'area': 81}
        ],
        'categories': [{'id': 1, 'name': text}, {'id': 2, 'name': f'{text}2'}],
    }
    found = [{'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 9, 9], 'score': 0.9}]
    truth, results = tmp_path / 'truth.json', tmp_path / 'results.json'
    truth.write_text(json.dumps(coco))
    results.write_text(json.dumps(found))
    made = analyze(results, truth, tmp_path / 'out')
    page = (tmp_path / 'out' / 'analysis.html').read_text('utf-8')
    tags = set(re.findall(r'<([a-zA-Z]+)', page))
    assert not tags & {'script', 'svg', 'iframe', 'a', 'form', 'object', 'link'}
    assert "default-src 'none'" in page
    assert not re.search(r'<[^>]*\son\w+=', page)
    assert np.isclose(made.content['stats']['AP'], 1)
