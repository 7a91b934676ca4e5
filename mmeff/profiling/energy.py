"""Energy of an image, from the counters that the hardware keeps.

Windows of many runs back to back are measured, since counters move every 10 to 100 ms
only; before them the power of the idle machine. Where there is no counter the energy is
None and the reason is told: nothing is estimated from a data sheet.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Protocol

import torch

from mmeff.profiling.nvml import Gpu, SensorError

SETTLE_SECONDS = 2.0  # before the idle power is measured, so that clocks come down
IDLE_SECONDS = 5.0
POLL_SECONDS = 1 / 30
POWERCAP = Path('/sys/class/powercap')
NUMBERS = (
    'energy_j_per_img',
    'energy_net_j_per_img',
    'energy_windows_j_per_img',
    'idle_power_w',
    'power_w',
    'temperature_before_c',
    'temperature_after_c',
    'energy_method',
)


class Reader(Protocol):
    """A meter. `method` names it in results; what cannot be read is a `SensorError`."""

    method: str

    def joules(self) -> float:
        """Energy used since some moment in the past."""

    def temperature_c(self) -> float:
        """Temperature of the chip."""


class NvmlReader:
    """The energy counter of an NVIDIA GPU: the whole board, since Volta."""

    method = 'nvml total energy counter'

    def __init__(self, gpu: Gpu) -> None:
        self.joules = gpu.energy_j
        self.temperature_c = gpu.temperature_c


class PowerReader:
    """The power of an NVIDIA GPU that has no counter, integrated over time.

    As a context it reads the power thirty times a second, in a thread.
    """

    method = 'nvml power'

    def __init__(self, gpu: Gpu, clock: Callable[[], float] = perf_counter) -> None:
        self.temperature_c = gpu.temperature_c
        self._power_w = gpu.power_w
        self._clock = clock
        self._last = clock(), gpu.power_w()
        self._joules = 0.0
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> 'PowerReader':
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    def joules(self) -> float:
        with self._lock:
            time_s, power_w = self._clock(), self._power_w()
            last_s, last_w = self._last
            self._joules += (time_s - last_s) * (power_w + last_w) / 2
            self._last = time_s, power_w
            return self._joules

    def _poll(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.joules()
            except SensorError:  # the next call of `joules` will tell
                return


class RaplReader:
    """The counters of the CPU packages (Intel, and AMD since Linux 5.8).

    They count the whole socket, other processes included, but not the memory.

    Args:
        root: Folder of the kernel's power capping interface.

    Raises:
        SensorError: There are no counters, or this user may not read them.
    """

    method = 'rapl'

    def __init__(self, root: Path = POWERCAP) -> None:
        # 'intel-rapl:0:1' is a part of package 0, and 'psys' more than all of them
        self._packages = [
            path
            for path in sorted(root.glob('intel-rapl:*'))
            if re.fullmatch(r'intel-rapl:\d+', path.name)
            and _read(path / 'name').startswith('package')
        ]
        if not self._packages:
            raise SensorError(f'no energy counters of the CPU below {root}')
        self._ranges_uj = [self._ask(p, 'max_energy_range_uj') for p in self._packages]
        self._last_uj = [self._ask(path, 'energy_uj') for path in self._packages]
        self._total_uj = 0

    def joules(self) -> float:
        now_uj = [self._ask(path, 'energy_uj') for path in self._packages]
        for now, last, end in zip(now_uj, self._last_uj, self._ranges_uj, strict=True):
            self._total_uj += now - last if now >= last else now + end - last
        self._last_uj = now_uj
        return self._total_uj / 1e6

    def temperature_c(self) -> float:
        raise SensorError('told of GPUs only')

    def _ask(self, package: Path, name: str) -> int:
        return int(_read(package / name))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except PermissionError as error:
        raise SensorError(
            f'{path} may be read by root only; run as root, or let root allow it '
            f'(chmod a+r {path})'
        ) from error
    except OSError as error:
        raise SensorError(f'{path}: {error.strerror}') from error


@contextmanager
def open_reader(device: str | torch.device) -> Iterator[Reader]:
    """The best meter of a device, for the time of a context.

    Raises:
        SensorError: There is none.
    """
    device = torch.device(device)
    if device.type == 'cpu':
        yield RaplReader()
        return
    with Gpu.of(device) as gpu:
        try:
            gpu.energy_j()
            reader = nullcontext(NvmlReader(gpu))
        except SensorError:
            reader = PowerReader(gpu)
        with reader as opened:
            yield opened


@dataclass(frozen=True)
class Window:
    """Runs back to back, and what they used."""

    joules: float
    seconds: float
    runs: int


def measure_energy(
    run: Callable[[], object],
    images_per_run: int,
    device: str | torch.device,
    windows: int = 3,
    seconds: float = 10.0,
    reader: Reader | None = None,
    clock: Callable[[], float] = perf_counter,
    pause: Callable[[float], None] = sleep,
) -> dict:
    """Measure the energy of a run.

    Args:
        run: The region, warmed up.
        images_per_run: To divide by.
        device: Whose energy it is; synchronised at the ends of windows, not in them.
        windows: How many
        seconds: and how long, at least.
        reader: In place of the best one of the device.
        clock: In seconds.
        pause: Waits so many seconds.

    Returns:
        Joules of an image in all, and without what the idle device would have used;
        those of each window; watts idle and under load; degrees before and after; the
        reader's `method`. All None when there is none, with the cause in `reasons`.
    """
    opened = open_reader(device) if reader is None else nullcontext(reader)
    try:
        with opened as meter:
            before_c, reasons = _temperature(meter)
            pause(SETTLE_SECONDS)
            idle = _window(lambda: pause(IDLE_SECONDS), meter, 0, device, clock)
            loaded = [
                _window(run, meter, seconds, device, clock) for _ in range(windows)
            ]
            after_c, _ = _temperature(meter)
            energy = summarize(loaded, idle, images_per_run)
            method = meter.method
    except SensorError as error:
        return no_energy(str(error))
    return {
        **energy,
        'temperature_before_c': before_c,
        'temperature_after_c': after_c,
        'energy_method': method,
        'reasons': reasons,
    }


def no_energy(reason: str) -> dict:
    """What `measure_energy` returns where nothing can be measured."""
    return {**dict.fromkeys(NUMBERS), 'reasons': dict.fromkeys(NUMBERS, reason)}


def summarize(loaded: Sequence[Window], idle: Window, images_per_run: int) -> dict:
    """Joules of an image and watts, from windows.

    Raises:
        SensorError: The counter stood still in one of them.
    """
    if min(window.joules for window in (idle, *loaded)) <= 0:
        raise SensorError('the energy counter does not move')
    joules = sum(window.joules for window in loaded)
    seconds = sum(window.seconds for window in loaded)
    images = images_per_run * sum(window.runs for window in loaded)
    idle_w = idle.joules / idle.seconds
    return {
        'energy_j_per_img': joules / images,
        'energy_net_j_per_img': (joules - idle_w * seconds) / images,
        'energy_windows_j_per_img': [
            window.joules / (window.runs * images_per_run) for window in loaded
        ],
        'idle_power_w': idle_w,
        'power_w': joules / seconds,
    }


def _window(
    run: Callable[[], object],
    reader: Reader,
    seconds: float,
    device: str | torch.device,
    clock: Callable[[], float],
) -> Window:
    """Run until the time is over, and at least once."""
    _synchronize(device)
    start_j, start_s = reader.joules(), clock()
    runs = 0
    while runs == 0 or clock() - start_s < seconds:
        run()
        runs += 1
    _synchronize(device)
    return Window(reader.joules() - start_j, clock() - start_s, runs)


def _synchronize(device: str | torch.device) -> None:
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def _temperature(reader: Reader) -> tuple[float | None, dict[str, str]]:
    """Degrees, or None and why."""
    try:
        return reader.temperature_c(), {}
    except SensorError as error:
        keys = ('temperature_before_c', 'temperature_after_c')
        return None, dict.fromkeys(keys, str(error))
