"""A training that is killed again and again ends as one that never stopped."""

import random
import re
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from trainings import Training, differences, weights_of

from mmeff.whole_file import UNFINISHED

MOMENTS = ('start', 'training', 'write')


@dataclass(frozen=True)
class Kill:
    """When to kill.

    Attributes:
        moment: One of `MOMENTS`: the start of the process, its first iteration, or the
            start of writing a checkpoint.
        delay: Seconds from then.
        nth: Of the checkpoints that are written.
        number: Of the signal.
    """

    moment: str
    delay: float
    nth: int = 1
    number: int = signal.SIGKILL


def make_kill(rng: random.Random) -> Kill:
    moment = rng.choices(MOMENTS, (1, 4, 5))[0]
    longest = {'start': 8, 'training': 10, 'write': 0.03}[moment]
    return Kill(moment, rng.uniform(0, longest), rng.randint(1, 3))


class Watched:
    """A started training whose words are collected while it runs."""

    def __init__(self, training: Training) -> None:
        self.run, self.began = training.run, time.monotonic()
        self.old = self.unfinished()  # of the kill before
        self.process = training.start('--resume')
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        self.said.extend(iter(self.process.stdout.readline, ''))

    def unfinished(self) -> set[Path]:
        return set(self.run.glob(f'{UNFINISHED}*.pth'))

    def wait_and_kill(self, kill: Kill) -> bool:
        """Whether the training was still there to be killed."""
        seen: set[Path] = set()
        while self.process.poll() is None and not self._is_reached(kill, seen):
            time.sleep(0.001)
        end = time.monotonic() + kill.delay
        while self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.001)
        self.process.send_signal(kill.number)
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        ends = (0, -signal.SIGKILL, 128 + signal.SIGTERM)
        assert self.process.returncode in ends, self.text()[-3000:]
        return self.process.returncode != 0

    def _is_reached(self, kill: Kill, seen: set[Path]) -> bool:
        if kill.moment == 'write':
            seen.update(self.unfinished() - self.old)
            return len(seen) >= kill.nth
        return kill.moment == 'start' or any('Epoch(train)' in x for x in self.said)

    def text(self) -> str:
        return ''.join(self.said)

    def describe(self, kill: Kill) -> str:
        """What was killed when, and what it had been resumed from."""
        text = self.text()
        source = re.search(r'Load checkpoint from .*/(\S+)', text)
        places = re.findall(r'Epoch\((\w+)\) +(\[\d+\]\[ *\d+/\d+\])', text)
        left = [path.stat().st_size for path in self.unfinished() - self.old]
        seconds = time.monotonic() - self.began
        return (
            f'{kill.moment:8} {seconds:6.2f} s after the start; '
            f'resumed from {source[1] if source else "nothing yet":15} '
            f'last log line {" ".join(places[-1]) if places else "-":14} '
            f'half a file: {left[0] if left else "-"}'
        )


def kill_and_compare(
    training: Training, whole: Path, kills: list[Kill], log: list[str]
) -> list[Kill]:
    """Run a training through kills to its end; returns the kills that are left."""
    kills = list(kills)
    while kills:
        watched = Watched(training)
        was_killed = watched.wait_and_kill(kills[0])
        if not was_killed:
            break
        log.append(f'{watched.describe(kills[0])}; {len(kills) - 1} kills to come')
        del kills[0]
    else:
        training.finish('--resume')
    for name in weights_of(whole):
        assert differences(whole / name, training.run / name) == []
    assert weights_of(training.run) >= weights_of(whole)
    assert not list(training.run.glob(f'{UNFINISHED}*'))
    return kills


def finished(folder: Path, data: Path, epochs: int) -> Path:
    training = Training(folder, data, f'train_cfg.max_epochs={epochs}')
    training.finish()
    return training.run


def test_two_kills_and_a_stop_change_no_bit(tiny_shapes, tmp_path):
    whole = finished(tmp_path / 'whole', tiny_shapes, epochs=2)
    training = Training(tmp_path / 'killed', tiny_shapes, 'train_cfg.max_epochs=2')
    kills = [
        Kill('write', 0.002),
        Kill('training', 0, number=signal.SIGTERM),
        Kill('write', 0.01, nth=2),
    ]
    assert kill_and_compare(training, whole, kills, log=[]) == []


@pytest.mark.slow
def test_fifty_kills_change_no_bit(tiny_shapes, tmp_path):
    """Writes `kills.log` to its folder, a line a kill."""
    whole = finished(tmp_path / 'whole', tiny_shapes, epochs=8)
    rng, log = random.Random(0), []
    kills = [make_kill(rng) for _ in range(50)]
    rounds = 0
    while kills:
        folder = tmp_path / f'killed_{rounds}'
        training = Training(folder, tiny_shapes, 'train_cfg.max_epochs=8')
        kills = kill_and_compare(training, whole, kills, log)
        rounds += 1
        log.append(f'training {rounds} ended; every bit is that of the whole one')
        (tmp_path / 'kills.log').write_text('\n'.join(log) + '\n')
