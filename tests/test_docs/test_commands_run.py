"""Command lines in the documents run as they are written and leave what they promise.

Each document gets a folder of its own, in which its commands run in their order, as a
reader's would. What they name and what is not there is put there first: two pictures to
train on, two to test on, small or untrained detectors. What takes long is made shorter by
options after those of the document.
"""

import os
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from stand_ins import make_sources, provide
from test_commands import CALLS

from documents import ROOT
from processes import clean_env

SECONDS = 1800  # for one command, on a machine with other work
TAIL = 2500  # characters of what a failed command said

NOT_RUN = {  # and what it would take
    'docs/deploy.md: srun --ntasks 32 mmeff predict net.py net.pth photos/ '
    '--launcher slurm': 'no SLURM',
    'docs/distributed.md: srun --kill-on-bad-exit=1 mmeff train vovnet39_fasterrcnn.py '
    '     --work-dir work_dirs/vovnet39 --resume --launcher slurm': 'no SLURM',
    'docs/guidelines.md: python tools/guidelines.py --device cuda --widths 1 2 4 '
    '--batch 8': 'a GPU',
    'docs/dsod.md: mmeff train dsod300_vovnet27-slim_voc.py                 '
    '# VOC 07+12 in data/VOCdevkit': '16,551 pictures of VOC',
}
DOCUMENTED = {}
for _line, (_command, _tool, _) in CALLS.items():
    if not _command.inline:
        DOCUMENTED.setdefault(_command.document, []).append((_line, _command, _tool))

# What is put in a reader's place of those that the documents leave open.
PLACEHOLDERS = {'CONFIG': 'own.py', 'CHECKPOINT': 'own.pth', 'FOLDER': 'data/mine'}

# What is said after the document's options, and set before its --cfg-options, by tool and,
# where only some need it, by config.
SHORTER = {
    ('benchmark', ''): '--rounds 1 --min-runs 1 --min-seconds 0 --max-seconds 1',
    ('bench_suite', ''): '--minutes 3',
    ('guidelines', ''): '--rounds 1 --min-seconds 0',
}
SETTINGS = {
    ('train', ''): 'train_cfg.max_epochs=1 train_cfg.val_begin=1 '
    'train_cfg.val_interval=1 train_dataloader.batch_size=2 '
    'train_dataloader.num_workers=0 val_dataloader.num_workers=0 '
    'default_hooks.checkpoint.interval=1 default_hooks.logger.interval=1',
    ('test', ''): 'test_dataloader.batch_size=2 test_dataloader.num_workers=0',
    ('benchmark', 'vovnet39_maskrcnn.py'): (
        'test_dataloader.dataset.pipeline.1.scale=(320,320)'
    ),
}
FEWER = {'--nproc_per_node': '2', '--num-workers': '2'}
PROMISES = ('--out', '--out-dir', '--work-dir', '--json', '--fix')


@pytest.fixture(scope='module')
def sources(tmp_path_factory) -> Path:
    return make_sources(tmp_path_factory.mktemp('sources'))


def entries(table: dict, tool: str, words: list[str]) -> list[str]:
    """What a table has for a command."""
    return [
        option
        for (name, word), options in table.items()
        if name == tool and word in ['', *words]
        for option in options.split()
    ]


def shortened(words: list[str], tool: str) -> list[str]:
    """The words of a command, and options that make it short."""
    words = [FEWER.get(flag, word) for flag, word in pairwise(['', *words])]
    words = [PLACEHOLDERS.get(word, word) for word in words]
    settings = entries(SETTINGS, tool, words)
    words += entries(SHORTER, tool, words)
    if '--cfg-options' not in words:
        return [*words, '--cfg-options', *settings] if settings else words
    start = (
        words.index('--cfg-options') + 1
    )  # what the document sets comes later, and stays
    return [*words[:start], *settings, *words[start:]]


def run(words: list[str], folder: Path) -> tuple[int, str]:
    """Exit status, and what the command said."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    environment = {**clean_env(), 'PATH': path, 'PYTHONWARNINGS': 'ignore'}
    done = subprocess.run(
        [shutil.which(words[0], path=path), *words[1:]],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def is_new(path: Path, start: int) -> bool:
    """Whether the file, or one below the folder, was written since (in ns)."""
    files = [path, *path.rglob('*')] if path.exists() else []
    return any(file.stat().st_mtime_ns >= start for file in files)


def test_commands_that_are_not_run_are_in_the_documents():
    assert set(NOT_RUN) <= set(CALLS)


@pytest.mark.slow
@pytest.mark.parametrize('document', DOCUMENTED)
def test_commands_run(document, sources, tmp_path):
    (tmp_path / 'tools').symlink_to(ROOT / 'tools')
    for line, command, tool in DOCUMENTED[document]:
        if line in NOT_RUN:
            continue
        words = shortened(command.words, tool)
        provide(words, tmp_path, sources)
        start = time.time_ns()
        status, said = run(words, tmp_path)
        assert status == 0, f'{line}\nran as: {" ".join(words)}\n{said[-TAIL:]}'
        for flag, value in pairwise(words):
            promised = flag not in PROMISES or is_new(tmp_path / value, start)
            assert promised, f'{line}\nleft no {value}\n{said[-TAIL:]}'
