"""The guidelines as users measure them: one command, a table, JSON and a picture."""

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from mmeff.apis.guidelines import measure_guidelines
from mmeff.cli import run
from mmeff.guidelines.tables import GUIDELINES
from mmeff.profiling.latency import Budget

TOOL = Path(__file__).parents[2] / 'tools' / 'guidelines.py'
QUICK = '--device cpu --threads 1 --rounds 2 --min-seconds 0'
TINY = Budget(rounds=1, min_runs=1, min_seconds=0, max_seconds=0)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The tool's module, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    loader = SourceFileLoader('guidelines_tool', str(TOOL))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_one_command_measures_and_writes_table_json_and_picture(tool, capsys):
    arguments = f'{QUICK} --guidelines G2 G4 --widths 2 1'
    assert run(tool.main, arguments.split()) == 0
    output = capsys.readouterr().out
    for text in ('G2. ', 'G4. ', 'G2 x1', 'G4 x2', '184 (paper 180)', 'Snapdragon'):
        assert text in output
    assert output.count('order by speed, here and in the paper:') == 4
    assert '…' not in output  # no column is cut off at 80 characters
    file, picture = map(Path, output.splitlines()[-2:])
    assert file == Path('results/guidelines__cpu__fp32__56x56_b1__t1.json')
    assert picture.read_bytes().startswith(b'\x89PNG')
    assert sorted(Path('results').iterdir()) == [file, picture]

    result = json.loads(file.read_text('utf-8'))
    assert result['settings']['columns'] == 'cpu'
    assert result['environment']['torch_threads'] == 1
    assert [g['key'] for g in result['guidelines']] == ['G2', 'G4']
    for guideline in result['guidelines']:
        first, second = guideline['measurements']
        assert (first['width'], second['width']) == (1, 2)
        names = [row['name'] for row in first['rows']]
        assert names == [v.name for v in GUIDELINES[guideline['key']].variants]
        for narrow, wide in zip(first['rows'], second['rows'], strict=True):
            assert 0 < narrow['memory_access_m'] < wide['memory_access_m']
            assert narrow['latency_ms']['n'] >= 2
    assert result['guidelines'][1]['measurements'][0]['rows'][0]['paper_speed'] == 66.3


def test_columns_of_the_gpu_can_be_taken_on_a_cpu(tool, capsys):
    arguments = f'{QUICK} --guidelines G1 --columns gpu --rounds 1'
    assert run(tool.main, arguments.split()) == 0
    output = capsys.readouterr().out
    assert '36 432' in output
    assert 'GTX 1080Ti' in output


def test_widths_that_a_paper_does_not_have_are_left_out(tmp_path):
    seen = []
    result = measure_guidelines(
        ['G1', 'bottleneck'],
        widths=[2],
        budget=TINY,
        threads=1,
        device='cpu',
        out_dir=tmp_path,
        progress=lambda name, number, samples: seen.append((name, number)),
    )
    assert [g['key'] for g in result['guidelines']] == ['G1']
    assert seen[0] == ('G1 x2 1:1', 0)
    assert seen[-1] == ('G1 x2 1:12', 1)


ORDER = {'agree': [['a', 'b']], 'oppose': [['a', 'c']], 'close': [['b', 'c']]}


@pytest.mark.parametrize(
    ('kept', 'sentence'),
    [
        (['agree'], 'the same (1 of 1 pairs)'),
        (['agree', 'close'], 'the same where it can be told (1 of 2 pairs)'),
        (['close'], 'cannot be told (0 of 1 pairs); too close to tell: b > c'),
        (
            ['agree', 'oppose', 'close'],
            'NOT the same (1 of 3 pairs); the other way here: a > c; too close',
        ),
    ],
)
def test_verdict_says_what_was_measured(tool, kept, sentence):
    order = {key: pairs if key in kept else [] for key, pairs in ORDER.items()}
    rows = [{'name': 'a', 'relative_speed_quartiles': [1.0, 1.0]}]
    part = {'speed_order': order, 'efficiency_order': None, 'rows': rows}
    (line,) = tool._verdicts(part)
    assert sentence in line


def test_unsteady_rounds_are_told(tool):
    rows = [{'name': 'a', 'relative_speed_quartiles': [0.5, 0.6]}]
    part = {'speed_order': ORDER, 'efficiency_order': ORDER, 'rows': rows}
    speed, efficiency, warning = tool._verdicts(part)
    assert speed.startswith('order by speed')
    assert efficiency.startswith('order by GFLOP/s')
    assert 'quartiles of a are 20 % apart' in warning


def test_choices_of_the_command_are_those_of_the_tables(tool):
    assert set(tool.KEYS) == set(GUIDELINES)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('--batch 0', 'batch=0'),
        ('--threads 0', 'threads=0'),
        ('--rounds 0', 'rounds=0'),
        ('--min-seconds -1', 'min_seconds=-1'),
        ('--precision tf32', 'tf32 needs a CUDA device'),
        ('--guidelines bottleneck --widths 2 4', 'say --widths 1'),
        ('--out file/results', 'cannot write'),
    ],
)
def test_mistakes_are_told_in_one_message(tool, capsys, arguments, message):
    Path('file').touch()
    arguments = f'{QUICK} --guidelines G1 {arguments}'
    assert run(tool.main, arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
    assert not Path('results').exists()


def test_unknown_guidelines_and_widths_of_the_function_are_told(tmp_path):
    from mmeff.errors import UserError

    with pytest.raises(UserError, match='guidelines G5: expected some of G1 G2'):
        measure_guidelines(['G5'], device='cpu', out_dir=tmp_path)
    with pytest.raises(UserError, match='widths 3: expected some of 1 2 4'):
        measure_guidelines(widths=[3], device='cpu', out_dir=tmp_path)
    with pytest.raises(UserError, match='columns arm: expected some of gpu cpu'):
        measure_guidelines(columns='arm', device='cpu', out_dir=tmp_path)


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['fp32', 'amp-fp16'])
def test_gpu_is_measured_with_its_own_columns(tool, precision):
    arguments = f'--rounds 2 --min-seconds 0.01 --widths 1 4 --precision {precision}'
    assert run(tool.main, arguments.split()) == 0
    (file,) = Path('results').glob('*.json')
    result = json.loads(file.read_text('utf-8'))
    assert result['settings']['columns'] == 'gpu'
    assert len(result['guidelines']) == 5
