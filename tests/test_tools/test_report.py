"""The report as users start it."""

import csv
import io
import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from mmeff.cli import run

from result_files import benchmark, evaluation, write

TOOL = Path(__file__).parents[2] / 'tools' / 'report.py'


@pytest.fixture
def report(capsys):
    """report(*arguments) -> (exit status, standard output, standard error)."""
    spec = spec_from_file_location('report_tool', TOOL)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        status = run(module.main, [str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / 'results'
    absent = dict.fromkeys(('gflops_per_s', 'energy_j_per_img', 'memory_access_m'))
    for name, latency, accuracy in (('small', 10, 0.3), ('large', 20, 0.4)):
        timed = benchmark(name, weights=name, latency_ms=latency, **absent)
        write(folder / name, b=timed, m=evaluation(name, name, bbox_mAP=accuracy))
    write(folder, broken={**benchmark(), 'schema_version': 0})
    return folder


def test_table_goes_to_output_and_remarks_to_error(report, results):
    status, out, err = report(results)
    assert status == 0
    for text in ('NVIDIA H100 80GB HBM3, fp32, batch 1', 'small', '40.0', '100.0'):
        assert text in out
    assert 'broken.json' not in out
    assert 'broken.json: schema_version is 0' in err


def test_csv_and_markdown_are_nothing_else(report, results):
    _, out, _ = report(results, '--format', 'csv', '--target-latency', '15')
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [line['model'] for line in lines] == ['small', 'large']
    _, out, _ = report(results, '--format', 'markdown')
    assert out.startswith('## NVIDIA H100')
    assert '| small | 320x320 |' in out


def test_folder_gets_tables_figures_and_page(report, results, tmp_path):
    folder = tmp_path / 'a' / 'report'
    status, out, _ = report(results, '--out', folder)
    assert status == 0
    written = {p.relative_to(folder).as_posix() for p in folder.rglob('*.*')}
    assert {'table.md', 'table.csv', 'report.html'} <= written
    figures = [name for name in written if name.startswith('figures/')]
    assert len(figures) == 4
    assert f'{folder}/report.html' in out
    assert f'{folder}/figures: 4 figures' in out


@pytest.mark.parametrize('name', ['table.md', 'table.csv', 'report.html'])
def test_one_file_is_written_alone(report, results, tmp_path, name):
    status, out, _ = report(results, '--out', tmp_path / 'new' / name)
    assert status == 0
    assert out.splitlines()[-1] == str(tmp_path / 'new' / name)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == [name]


def test_choice_is_printed_with_its_reason(report, results):
    _, out, _ = report(results, '--target-fps', '70')
    assert 'target 14.29 ms' in out
    assert 'MnasNet objective: large, because' in out
    assert 'Pareto front: small, because' in out


def test_choice_without_accuracy_is_a_message_below_the_table(report, tmp_path):
    write(tmp_path, b=benchmark())
    status, out, err = report(tmp_path, '--target-latency', '5')
    assert status == 0
    assert 'FPS' in out
    assert 'no model to choose: none has both accuracy and latency' in err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['none'], 'none: no such file or folder'),
        (['.', '--target-fps', '0'], 'a positive number'),
        (['.', '--out', 'b.json/x'], 'cannot write b.json/x'),
    ],
)
def test_mistakes_are_told_in_one_message(
    report, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(write(tmp_path, b=benchmark()))
    status, _, err = report(*arguments)
    assert status == 2
    assert err.startswith('error: ')
    assert message in err
    assert 'Traceback' not in err


def test_real_measurement_is_shown_as_it_is_in_its_file(report, python, tmp_path):
    root = Path(__file__).parents[2]
    config = root / 'tests' / 'test_profiling' / 'small_retinanet.py'
    quick = '--rounds 1 --min-runs 2 --min-seconds 0 --max-seconds 1 --threads 1'
    command = [root / 'tools' / 'benchmark.py', config, *quick.split()]
    python(*command, '--device', 'cpu', '--layers', '--out', tmp_path / 'results')
    (file,) = (tmp_path / 'results').glob('*.json')
    content = json.loads(file.read_text())

    page = tmp_path / 'report.html'
    status, out, _ = report(tmp_path / 'results', '--format', 'csv', '--out', page)
    assert status == 0
    (line,) = csv.DictReader(io.StringIO(out))
    metrics = content['metrics']
    assert float(line['FPS']) == metrics['fps']
    assert float(line['latency (ms)']) == metrics['latency_detect_ms']['mean']
    assert float(line['memory access (M)']) == metrics['memory_access_m']
    data = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1]
    (row,) = json.loads(data)['rows']
    assert len(row['layers']) == len(content['layers'])
    assert row['roofline']['peak'] == content['roofline']['peak_gflops_per_s']
    assert all(layer['attained'] and layer['intensity'] for layer in row['layers'])
    assert [m['title'] for m in row['parts']['measures']][-1] == 'time'
