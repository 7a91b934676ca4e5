"""The scripts of examples/ run as they are, away from the clone and without network."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from processes import clean_env

EXAMPLES = Path(__file__).parents[1] / 'examples'


def run(name: str, cwd: Path, *arguments) -> str:
    process = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=cwd,
        env={**clean_env(), 'PYTHONWARNINGS': 'ignore'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr
    return process.stdout


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('examples')


@pytest.fixture(scope='module')
def quickstart(folder) -> str:
    """What the quickstart prints."""
    return run('quickstart.py', folder)


def test_every_script_is_tested_and_can_be_run_cell_by_cell():
    names = {path.name for path in EXAMPLES.glob('*.py')}
    assert names == {'quickstart.py', 'video.py', 'compare.py'}
    for name in names:
        text = (EXAMPLES / name).read_text('utf-8')
        assert text.startswith('# %% [markdown]\n# # ')
        assert len(re.findall(r'^# %%$', text, re.MULTILINE)) >= 4


def test_quickstart_trains_evaluates_and_draws(quickstart, folder):
    out = folder / 'work_dirs/quickstart'
    metrics = json.loads((out / 'run/metrics.json').read_text())['metrics']
    printed = f'{100 * metrics["coco/bbox_mAP_50"]:.1f}'
    assert f'box AP50 on pictures it has not seen: {printed}\n' in quickstart
    found = json.loads((out / 'outputs/predictions.json').read_text())
    count = len(found['annotations'])
    assert f'{count} boxes in {len(found["images"])} pictures' in quickstart
    pictures = sorted((out / 'outputs/vis').rglob('*.jpg'))
    assert len(pictures) == len(found['images'])
    assert cv2.imread(str(pictures[0])).shape == (64, 64, 3)


def test_video_is_predicted_frame_by_frame(quickstart, folder):
    out = run('video.py', folder)
    assert re.search(r'\d+ boxes in 24 frames', out)
    assert re.search(r'\d+ frames a second; the surest box, 0\.\d\d', out)
    (video,) = (folder / 'work_dirs/video/outputs/vis').rglob('*.mp4')
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) == 24


@pytest.mark.slow
def test_three_detectors_are_trained_timed_and_reported(folder):
    out = run('compare.py', folder)
    report = folder / 'work_dirs/compare/report'
    assert (report / 'report.html').is_file()
    table = (report / 'table.md').read_text('utf-8')
    names = re.findall(r"'(\w+[\w-]*)\.py'", (EXAMPLES / 'compare.py').read_text())
    assert len(names) == 3
    for name in names:
        assert name in table
        assert name in out
