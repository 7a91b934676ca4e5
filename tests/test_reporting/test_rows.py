"""Evaluations and benchmarks of the same weights meet; useless files are told."""

import json
import os

import pytest

from mmeff.errors import UserError
from mmeff.profiling.results import SCHEMA_VERSION
from mmeff.reporting.rows import make_report, number

from result_files import benchmark, evaluation, write


def test_same_config_and_weights_are_one_row(tmp_path):
    write(tmp_path, b=benchmark('net', weights='aa'))
    write(tmp_path / 'work_dir', metrics=evaluation('net', 'aa', bbox_mAP=0.4))
    (row,) = make_report([tmp_path]).rows
    assert row.metrics['coco/bbox_mAP'] == 0.4
    assert row.metrics['fps'] == 100
    assert [file.rpartition('/')[2] for file in row.files] == ['b.json', 'metrics.json']


@pytest.mark.parametrize(('config', 'weights'), [('net', 'bb'), ('other', 'aa')])
def test_other_weights_or_config_do_not_meet(tmp_path, config, weights):
    write(tmp_path, b=benchmark('net', weights='aa'))
    write(tmp_path, metrics=evaluation(config, weights, bbox_mAP=0.4))
    timed, evaluated = make_report([tmp_path]).rows
    assert not timed.evaluated
    assert 'coco/bbox_mAP' not in timed.metrics
    assert evaluated.setup is None
    assert evaluated.name == config


def test_an_evaluation_belongs_to_the_backend_that_it_was_made_with(tmp_path):
    half = {'backend': 'openvino', 'precision': 'bf16'}
    write(
        tmp_path,
        a=benchmark('net', weights='aa'),
        b=benchmark('net', weights='aa', settings={'backend': 'torch'}),
        c=benchmark('net', weights='aa', precision='bf16', settings=half),
        d=benchmark('net', weights='aa', settings={'backend': 'onnxruntime'}),
        e=benchmark(
            'net', weights='aa', precision='bf16', settings={'backend': 'torch'}
        ),
        mmdet=evaluation('net', 'aa', bbox_mAP=0.4),
        ov={**evaluation('net', 'aa', bbox_mAP=0.399), **half},
        ort={
            **evaluation('net', 'aa', bbox_mAP=0.4001),
            'backend': 'onnxruntime',
            'precision': 'fp32',
        },
        alone={**evaluation('net', 'bb', bbox_mAP=0.3), **half},
    )
    report = make_report([tmp_path])
    found = {
        (row.name, row.setup.precision if row.setup else None): row.metrics.get(
            'coco/bbox_mAP'
        )
        for row in report.rows
    }
    assert found == {
        ('net', 'fp32'): 0.4,
        ('net, torch', 'fp32'): 0.4,  # finds the same
        ('net, onnxruntime', 'fp32'): 0.4001,
        ('net, openvino', 'bf16'): 0.399,
        ('net, torch', 'bf16'): None,  # may have lost some
        ('net, openvino, bf16', None): 0.3,
    }
    assert not any('differs' in line for line in report.warnings)
    assert {row.backend for row in report.rows} == {
        *('mmdet', 'torch', 'onnxruntime', 'openvino')
    }


def test_random_weights_never_get_an_accuracy(tmp_path):
    accuracy = {**evaluation('net', bbox_mAP=0.4), 'checkpoint_sha256': None}
    write(tmp_path, b=benchmark('net', weights=None), metrics=accuracy)
    report = make_report([tmp_path])
    (row,) = report.rows
    assert not row.evaluated
    assert any('random weights' in line for line in report.warnings)


def test_rows_are_grouped_by_setup_the_fastest_first(tmp_path):
    write(
        tmp_path,
        a=benchmark('slow', latency_ms=20),
        b=benchmark('fast', latency_ms=10),
        c=benchmark('slow', device='cpu', latency_ms=200),
        d=benchmark('slow', precision='amp-fp16', latency_ms=9),
        e=benchmark('slow', batch=8, latency_ms=90),
    )
    report = make_report([tmp_path])
    groups = [(str(s), [row.name for row in rows]) for s, rows in report.groups()]
    gpu = 'NVIDIA H100 80GB HBM3'
    assert groups == [
        ('CPU AMD EPYC 9B14, 2 threads, fp32, batch 1', ['slow']),
        (f'{gpu}, amp-fp16, batch 1', ['slow']),
        (f'{gpu}, fp32, batch 1', ['fast', 'slow']),
        (f'{gpu}, fp32, batch 8', ['slow']),
    ]
    assert any('4 setups' in line for line in report.warnings)


def test_runs_that_differ_have_names_that_differ(tmp_path):
    write(
        tmp_path,
        a=benchmark(settings={'compile': True, 'channels_last': True}),
        b=benchmark(settings={'image_shape': [512, 640]}),
        c=benchmark(),
        d=benchmark(weights='b' * 64),
        e=benchmark(weights='b' * 64),
    )
    names = sorted(row.name for row in make_report([tmp_path]).rows)
    assert names == [
        'net, 320x320, weights aaaaaaaa',
        f'net, 320x320, weights bbbbbbbb, {tmp_path}/d.json',
        f'net, 320x320, weights bbbbbbbb, {tmp_path}/e.json',
        'net, 512x640',
        'net, compiled, channels last',
    ]


def test_evaluations_of_the_same_weights_merge_and_differences_are_told(tmp_path):
    write(tmp_path / 'a', metrics=evaluation(bbox_mAP=0.4, segm_mAP=0.3))
    write(tmp_path / 'b', metrics=evaluation(bbox_mAP=0.5))
    report = make_report([tmp_path])
    (row,) = report.rows
    assert row.metrics == {'coco/bbox_mAP': 0.5, 'coco/segm_mAP': 0.3}
    (line,) = report.warnings
    assert 'coco/bbox_mAP differs' in line


def test_useless_files_are_named_with_the_reason_and_the_rest_goes_on(tmp_path):
    write(
        tmp_path,
        good=benchmark('good'),
        older={**benchmark(), 'schema_version': 1},
        newer={**benchmark(), 'schema_version': SCHEMA_VERSION + 1},
        half={k: v for k, v in benchmark().items() if k != 'metrics'},
        no_device={**benchmark(), 'settings': {'precision': 'fp32', 'batch': 1}},
        no_images={
            **benchmark(),
            'settings': benchmark(batch=1)['settings'] | {'batch': 0},
        },
        odd_metrics={**benchmark(), 'metrics': [1]},
        odd_weights={**benchmark(), 'checkpoint_sha256': ['a']},
        no_evaluation={'schema_version': SCHEMA_VERSION, 'config': 'net'},
        foreign={'images': [], 'annotations': []},
    )
    whole = json.dumps(benchmark())
    (tmp_path / 'cut.json').write_text(whole[: len(whole) // 2])
    (tmp_path / 'latin.json').write_bytes(b'{"schema_version": "\xe9"}')
    (tmp_path / 'log.json').write_text('{"loss": 1}\n{"loss": 2}')
    (tmp_path / 'empty.json').touch()
    report = make_report([tmp_path])
    assert [row.name for row in report.rows] == ['good']
    expected = {
        'older': 'schema_version is 1',
        'newer': f'schema_version is {SCHEMA_VERSION + 1}',
        'half': 'metrics missing',
        'no_device': 'no complete result',
        'no_images': 'no complete result',
        'odd_metrics': 'no complete result',
        'odd_weights': 'no complete result',
        'no_evaluation': 'checkpoint_sha256, metrics missing',
        'cut': 'broken or cut off',
        'latin': 'broken or cut off',
    }
    for name, reason in expected.items():
        (line,) = (w for w in report.warnings if f'{name}.json' in w)
        assert reason in line
    (line,) = (w for w in report.warnings if 'no results' in w)
    assert all(f'{name}.json' in line for name in ('foreign', 'log', 'empty'))
    assert len(report.warnings) == len(expected) + 1


def test_evaluations_of_older_versions_still_count(tmp_path):
    older = {**evaluation(bbox_mAP=0.4), 'schema_version': 1}
    write(tmp_path, metrics=older, b=benchmark())
    (row,) = make_report([tmp_path]).rows
    assert row.metrics['coco/bbox_mAP'] == 0.4


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_file_without_permission_is_told(tmp_path):
    write(tmp_path, a=benchmark(), secret=benchmark())
    (tmp_path / 'secret.json').chmod(0)
    (line,) = make_report([tmp_path]).warnings
    assert 'secret.json' in line


def test_nothing_to_read_is_a_message(tmp_path):
    with pytest.raises(UserError, match='no such file or folder'):
        make_report([tmp_path / 'none'])
    write(tmp_path, older={**benchmark(), 'schema_version': 0})
    with pytest.raises(UserError, match=r'no results(.|\n)*schema_version is 0'):
        make_report([tmp_path])


def test_file_given_twice_counts_once(tmp_path):
    write(tmp_path, a=benchmark())
    assert len(make_report([tmp_path, tmp_path / 'a.json']).rows) == 1


def test_doubtful_measurements_are_told(tmp_path):
    noisy = benchmark('noisy')
    noisy['metrics']['latency_detect_ms']['spread_percent'] = 4.2
    reasons = {'throttled': True, 'throttle_reasons': ['HwThermalSlowdown']}
    write(tmp_path, a=noisy, b=benchmark('hot', **reasons), c=benchmark('calm'))
    lines = make_report([tmp_path]).warnings
    assert len(lines) == 2
    assert any('noisy' in line and '4.2 %' in line for line in lines)
    assert any('hot' in line and 'HwThermalSlowdown' in line for line in lines)


def test_names_cannot_steer_a_terminal(tmp_path):
    write(tmp_path, a=benchmark('a\x1b[31m\u202eb\ud800'))
    assert make_report([tmp_path]).rows[0].name == 'a\ufffd[31m\ufffdb\ufffd'


@pytest.mark.parametrize(
    'value', ['1', None, True, float('nan'), float('inf'), 10**400, [1], {'mean': 1}]
)
def test_only_finite_numbers_are_numbers(value):
    assert number({'a': {'b': value}}, 'a', 'b') is None
    assert number({'a': value}, 'a', 'c') is None
    assert number({'a': {'b': 2}}, 'a', 'b') == 2.0


def test_reporting_needs_neither_torch_nor_mmdet(python):
    code = """
import sys
import mmeff.apis.report
heavy = {'torch', 'torchvision', 'mmdet', 'mmengine', 'mmcv'} & set(sys.modules)
assert not heavy, heavy
"""
    python('-c', code)
