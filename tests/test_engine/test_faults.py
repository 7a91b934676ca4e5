"""Faults of the world around a training: a message, the checkpoints whole, a resume."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from trainings import TRAIN, Training, differences, wait_for

from mmeff.engine.checkpoints import LAST, is_whole, newest_whole
from mmeff.engine.faults import describe_fault

EPOCHS = 'train_cfg.max_epochs=2'


@pytest.fixture(scope='module')
def whole(tiny_shapes, tmp_path_factory) -> Path:
    """Work dir of two epochs that nothing disturbed."""
    training = Training(tmp_path_factory.mktemp('whole'), tiny_shapes, EPOCHS)
    training.finish()
    return training.run


def save(path: Path) -> Path:
    torch.save({'state_dict': {'weight': torch.arange(9999.0)}}, path)
    return path


@pytest.mark.parametrize('damage', ['cut', 'changed', 'empty'])
def test_damaged_checkpoint_is_left_out(damage, tmp_path):
    good, bad = save(tmp_path / 'epoch_3.pth'), save(tmp_path / 'epoch_4.pth')
    (tmp_path / LAST).write_text('/moved/since/epoch_4.pth')
    assert newest_whole(tmp_path) == (bad, [])
    content = bytearray(bad.read_bytes())
    content[20000] ^= 1
    bad.write_bytes({'cut': content[:30000], 'changed': content, 'empty': b''}[damage])
    assert not is_whole(bad)
    assert newest_whole(tmp_path) == (good, [bad])


def test_newest_checkpoint_is_that_of_the_last_training(tmp_path):
    """Of an earlier and longer one there may be more epochs in the folder."""
    for name, age in (('epoch_12.pth', 30), ('epoch_1.pth', 20), ('epoch_2.pth', 10)):
        os.utime(save(tmp_path / name), (age := 10**9 - age, age))
    (tmp_path / LAST).write_text('')
    assert newest_whole(tmp_path)[0] == tmp_path / 'epoch_2.pth'
    assert newest_whole(tmp_path / 'nowhere') == (None, [])


class Suicidal(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_dead_worker_is_described():
    loader = torch.utils.data.DataLoader(Suicidal(), num_workers=1)
    with pytest.raises(RuntimeError) as caught:
        next(iter(loader))
    said = describe_fault(caught.value)
    assert said.startswith('a process that loads images has died (DataLoader worker')


def open_full():
    return open('/dev/full', 'wb', buffering=0)


def test_full_disk_is_described():
    with pytest.raises(OSError, match='No space') as caught, open_full() as file:
        file.write(b'x')
    assert 'No space left on device. Make room' in describe_fault(caught.value)


def test_other_errors_are_not_taken_for_faults():
    assert describe_fault(RuntimeError('shape mismatch')) is None
    assert describe_fault(FileNotFoundError(2, 'No such file')) is None


@pytest.mark.slow
def test_terminated_training_goes_on_from_the_same_iteration(
    whole, tiny_shapes, tmp_path
):
    training = Training(tmp_path, tiny_shapes, EPOCHS)
    process = training.start()
    wait_for(process, 'Epoch(train) [1][1/4]')
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[0]
    assert process.returncode == 128 + signal.SIGTERM, said[-3000:]
    assert 'error: SIGTERM: stopped after iteration 3 of 8; ' in said
    assert 'Traceback' not in said
    said = training.finish('--resume')
    assert 'loading 3 batches of epoch 1 that the checkpoint has seen' in said
    assert differences(whole / 'epoch_2.pth', training.run / 'epoch_2.pth') == []
    assert not (training.run / 'interrupted.pth').exists()


def end_of(process: subprocess.Popen, status: int) -> str:
    said = process.communicate(timeout=400)[0]
    assert process.returncode == status, said[-3000:]
    assert 'Traceback' not in said
    return said


def resumes_equal(training: Training, whole: Path) -> None:
    training.finish('--resume')
    assert differences(whole / 'epoch_2.pth', training.run / 'epoch_2.pth') == []


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_to_all_processes_of_a_training(number, whole, tiny_shapes, tmp_path):
    """As a terminal sends Ctrl-C and SLURM a preemption: workers get it too."""
    training = Training(tmp_path, tiny_shapes, EPOCHS)
    process = training.start()
    wait_for(process, 'Epoch(train) [2][1/4]')
    os.killpg(process.pid, number)
    said = end_of(process, 128 + number)
    assert f'error: {number.name}: stopped ' in said
    assert 'with --resume goes on from' in said
    resumes_equal(training, whole)


@pytest.mark.slow
def test_killed_worker(whole, tiny_shapes, tmp_path):
    training = Training(tmp_path, tiny_shapes, EPOCHS)
    process = training.start()
    wait_for(process, 'Epoch(train) [2][1/4]')
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    said = end_of(process, status=2)
    assert 'error: a process that loads images has died (DataLoader worker' in said
    assert 'with --resume goes on from' in said
    assert 'epoch_1.pth (iterations to repeat: ' in said
    resumes_equal(training, whole)


def children(pid: int) -> list[int]:
    """Child processes, by the time of their start."""
    return sorted(
        map(int, Path(f'/proc/{pid}/task/{pid}/children').read_text().split())
    )


@pytest.mark.slow
def test_damaged_newest_checkpoint(whole, tiny_shapes, tmp_path):
    training = Training(tmp_path, tiny_shapes, EPOCHS)
    shutil.copytree(whole, training.run)
    newest = training.run / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:-1000])
    said = training.finish('--resume')
    assert 'run/epoch_2.pth is damaged or cut off, and left out' in said
    assert 'Load checkpoint from run/epoch_1.pth' in said
    assert differences(whole / 'epoch_2.pth', newest) == []


IN_A_SMALL_DISK = """
set -e
mkdir run
mount -t tmpfs -o size=$1 tmpfs run
shift
{ "$@" && echo status 0 || echo status $?; } > first.log 2>&1
cp -r run first
mount -o remount,rw,size=1g run
{ "$@" --resume && echo status 0 || echo status $?; } > second.log 2>&1
cp -r run second
"""


def on_own_disk(training: Training, script: str, *options: str) -> tuple[str, str]:
    """Train and resume with `run` on a disk of its own; what both said."""
    command = ['unshare', '--map-root-user', '--mount', 'bash', '-c', script, 'bash']
    probe = [*command[:5], 'mount -t tmpfs tmpfs /mnt']
    if not shutil.which('unshare') or subprocess.run(probe).returncode:
        pytest.skip('this system lets no one mount a disk')
    command += [*options, sys.executable, str(TRAIN), *training.arguments]
    subprocess.run(command, cwd=training.folder, env=training.env, check=True)
    logs = [training.folder / name for name in ('first.log', 'second.log')]
    return tuple(log.read_text() for log in logs)


@pytest.mark.slow
@pytest.mark.parametrize('size_mib', [10, 30, 40])
def test_full_disk(size_mib, whole, tiny_shapes, tmp_path):
    """A checkpoint has 19 MiB and the best one 13: there is room for none, one, both."""
    training = Training(tmp_path, tiny_shapes, EPOCHS)
    first, second = on_own_disk(training, IN_A_SMALL_DISK, f'{size_mib}m')
    assert first.endswith('status 2\n'), first[-3000:]
    assert '.pth cannot be written: No space left on device: ' in first
    assert 'MiB are needed' in first
    assert 'Traceback' not in first
    found = list((tmp_path / 'first').glob('*.pth'))
    assert bool(found) is (size_mib > 19)
    assert all(map(is_whole, found))
    assert second.endswith('status 0\n'), second[-3000:]
    assert not differences(whole / 'epoch_2.pth', tmp_path / 'second' / 'epoch_2.pth')


READ_ONLY = IN_A_SMALL_DISK.replace(
    'tmpfs run\n', 'tmpfs run\nmount -o remount,ro run\n'
)


@pytest.mark.slow
def test_read_only_work_dir(tiny_shapes, tmp_path):
    training = Training(tmp_path, tiny_shapes, EPOCHS)
    first, second = on_own_disk(training, READ_ONLY, '1g')
    assert first.endswith('status 2\n'), first[-3000:]
    assert 'error: work dir run: nothing can be written there (Read-only file' in first
    assert 'Epoch(train)' not in first
    assert second.endswith('status 0\n'), second[-3000:]


TORCHRUN = ('-m', 'torch.distributed.run', '--nproc_per_node', '2', '--standalone')


@pytest.fixture(scope='module')
def whole_of_two(tiny_shapes, tmp_path_factory) -> Path:
    training = Training(
        tmp_path_factory.mktemp('whole_of_two'), tiny_shapes, 'train_cfg.max_epochs=3'
    )
    end_of(training.start('--launcher', 'pytorch', before=TORCHRUN), status=0)
    return training.run


def resume_both(training: Training) -> None:
    flags = ('--launcher', 'pytorch', '--resume')
    end_of(training.start(*flags, before=TORCHRUN), status=0)


@pytest.mark.slow
def test_killed_process_of_two(whole_of_two, tiny_shapes, tmp_path):
    training = Training(tmp_path, tiny_shapes, 'train_cfg.max_epochs=3')
    process = training.start('--launcher', 'pytorch', before=TORCHRUN)
    wait_for(process, 'Epoch(train) [2][1/2]')
    began = time.monotonic()
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    said = process.communicate(timeout=400)[0]
    assert time.monotonic() - began < 60
    assert process.returncode != 0
    assert 'goes on from' in said
    assert children_of_session(process.pid) == []
    resume_both(training)
    assert not differences(whole_of_two / 'epoch_3.pth', training.run / 'epoch_3.pth')


@pytest.mark.slow
def test_two_processes_stop_after_the_same_iteration(
    whole_of_two, tiny_shapes, tmp_path
):
    """One alone is told, while the other may have begun its next iteration."""
    training = Training(tmp_path, tiny_shapes, 'train_cfg.max_epochs=3')
    process = training.start('--launcher', 'pytorch', before=TORCHRUN)
    wait_for(process, 'Epoch(train) [1][1/2]')
    os.kill(children(process.pid)[-1], signal.SIGTERM)
    said = process.communicate(timeout=400)[0]
    assert process.returncode != 0
    assert said.count('error: SIGTERM: stopped after iteration') == 2, said[-3000:]
    resume_both(training)
    assert not differences(whole_of_two / 'epoch_3.pth', training.run / 'epoch_3.pth')


def children_of_session(session: int) -> list[str]:
    """Processes that a training has left behind."""
    return subprocess.run(
        ['ps', '-s', str(session), '-o', 'pid=,args='], capture_output=True, text=True
    ).stdout.splitlines()
