"""Tables: columns with data, footnotes for what is missing, names that do no harm."""

import csv
import io

import pytest
from rich.console import Console

from mmeff.reporting.columns import COLUMNS, format_number
from mmeff.reporting.rows import make_report
from mmeff.reporting.table import make_tables
from mmeff.reporting.terminal import for_terminal
from mmeff.reporting.text import escape_markdown, for_csv, for_markdown

from result_files import benchmark, evaluation, write

NASTY = (
    '<img src=x onerror=alert(1)>',
    '=cmd()',
    '+1+1',
    '-2+3',
    '@SUM(A1)',
    'a|b',
    'quote"d, `code` *bold*',
    '[bold]rich[/bold]',
    'Zoë 网络 $x$',
)


@pytest.fixture
def report(tmp_path):
    """Two models on a GPU, one of them evaluated, and one on a CPU."""
    write(
        tmp_path,
        a=benchmark('good', weights='a', latency_ms=12.5, params_m=43.4567),
        b=benchmark('plain', weights='b'),
        c=benchmark('good', weights='a', device='cpu', latency_ms=90),
        metrics=evaluation('good', 'a', bbox_mAP=0.4126, segm_mAP=-1.0),
    )
    return make_report([tmp_path])


def terminal(report, width=200) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(for_terminal(report, width))
    return console.file.getvalue()


def test_columns_are_those_with_data_in_the_order_of_the_papers(report):
    cpu, gpu = make_tables(report)
    expected = ['model', 'input', 'params (M)', 'GMACs', 'memory access (M)']
    expected += ['activations (M)', 'peak memory (MiB)', 'energy (J/img)', 'GFLOP/s']
    expected += ['latency (ms)', 'median (ms)', 'p90 (ms)', 'p99 (ms)', 'FPS', 'box AP']
    assert list(gpu.header) == expected
    assert 'energy (J/img)' not in cpu.header
    assert 'peak RSS (MiB)' in cpu.header


def test_numbers_have_the_digits_of_their_column(report):
    gpu = make_tables(report)[1]
    cells = {row.name: dict(zip(gpu.header[1:], cells)) for row, cells in gpu.lines}  # noqa: B905
    texts = {title: cell.text for title, cell in cells['good'].items()}
    assert texts['input'] == '320x320'
    assert texts['params (M)'] == '43.46'
    assert texts['latency (ms)'] == '12.50'
    assert texts['FPS'] == '80.0'
    assert texts['box AP'] == '41.3'
    assert texts['energy (J/img)'] == '4.375'


def test_missing_number_is_a_dash_with_its_reason(report):
    gpu = make_tables(report)[1]
    (cell,) = (c for row, cells in gpu.lines for c in cells if c.note)
    assert cell.text == '–'  # noqa: RUF001
    assert gpu.notes == ('no evaluation of these weights among the files',)
    text = terminal(report)
    assert '– [1]' in text  # noqa: RUF001
    assert '[1] no evaluation of these weights among the files' in text
    assert '– <sup>1</sup>' in for_markdown(report)  # noqa: RUF001


def test_reason_of_the_file_is_shown(tmp_path):
    write(
        tmp_path,
        a=benchmark('a', energy_j_per_img=None, reasons={'energy_j_per_img': 'MIG'}),
        b=benchmark('b'),
    )
    assert make_tables(make_report([tmp_path]))[0].notes == ('MIG',)


def test_tiny_numbers_are_not_shown_as_zero():
    assert format_number(0.00123, 1) == '0.0012'
    assert format_number(0.96, 1) == '0.96'
    assert format_number(0.0, 1) == '0.0'
    assert format_number(250.4, 0) == '250'


def test_terminal_leaves_out_what_does_not_fit_and_says_so(report):
    wide, narrow = terminal(report, 200), terminal(report, 80)
    assert 'too narrow' not in wide
    assert 'too narrow for median (ms), p90 (ms)' in narrow
    assert all(len(line) <= 80 for line in narrow.splitlines())
    for text in ('good', 'FPS', '80.0', '41.3'):
        assert text in narrow


def test_csv_gives_numbers_back_in_full(report):
    lines = list(csv.DictReader(io.StringIO(for_csv(report))))
    assert len(lines) == len(report.rows) == 3
    for line, row in zip(lines, report.rows, strict=True):
        for column in COLUMNS:
            text, value = line[column.title], column.value(row)
            assert (float(text) if text else None) == value
        assert line['device'] == row.setup.device
        assert line['config'] == row.name


@pytest.mark.parametrize('name', NASTY)
def test_names_do_no_harm(tmp_path, name):
    shape = {'image_shape': [name]}
    write(tmp_path, a=benchmark(name, settings=shape), b=benchmark('plain'))
    report = make_report([tmp_path])
    assert name in terminal(report)

    texts = [line['model'] for line in csv.DictReader(io.StringIO(for_csv(report)))]
    (text,) = (text for text in texts if text != 'plain')
    assert text.lstrip("'") == name
    assert text[0] not in '=+-@'

    lines = for_markdown(report).splitlines()
    bars = {line.replace(r'\|', '').count('|') for line in lines if '|' in line}
    assert len(bars) == 1
    assert '<img' not in for_markdown(report)


def test_markdown_keeps_underscores_inside_words():
    assert escape_markdown('vovnet39_maskrcnn') == 'vovnet39_maskrcnn'
    assert escape_markdown('__init__') == r'\__init_\_'
    assert escape_markdown('a*b`c`[d](e)') == r'a\*b\`c\`\[d\](e)'
