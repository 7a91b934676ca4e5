"""The arithmetic on recorded counters, and the reasons where there are none."""

import os
from pathlib import Path
from time import sleep

import pytest
import torch

from mmeff.profiling.energy import (
    NUMBERS,
    PowerReader,
    RaplReader,
    Window,
    measure_energy,
    open_reader,
    summarize,
)
from mmeff.profiling.nvml import SensorError


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Trace:
    """A meter of a device that draws 60 W idle and 300 W in the runs of a test."""

    method = 'trace'

    def __init__(self, clock: Clock) -> None:
        self.clock, self.used, self.degrees = clock, 5000.0, iter([40.0, 60.0])

    def idle(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.used += 60 * seconds

    def run(self) -> None:
        self.clock.sleep(0.025)
        self.used += 300 * 0.025

    def joules(self) -> float:
        return self.used

    def temperature_c(self) -> float:
        return next(self.degrees)


@pytest.mark.parametrize('images', [1, 8])
def test_energy_of_an_image_with_and_without_idle_power(images):
    clock = Clock()
    trace = Trace(clock)
    energy = measure_energy(
        trace.run, images, 'cpu', reader=trace, clock=clock, pause=trace.idle
    )
    assert energy['power_w'] == pytest.approx(300)
    assert energy['idle_power_w'] == pytest.approx(60)
    assert energy['energy_j_per_img'] == pytest.approx(7.5 / images)
    assert energy['energy_net_j_per_img'] == pytest.approx(6 / images)
    assert energy['energy_windows_j_per_img'] == pytest.approx([7.5 / images] * 3)
    assert energy['temperature_before_c'] == 40
    assert energy['temperature_after_c'] == 60
    assert energy['energy_method'] == 'trace'
    assert energy['reasons'] == {}
    # 3 windows of 10 s, and what comes before them
    assert clock.now == pytest.approx(100 + 2 + 5 + 3 * 10, abs=0.1)


def test_windows_weigh_by_their_images():
    idle = Window(joules=50, seconds=5, runs=1)
    loaded = [Window(100, 10, 10), Window(300, 10, 20)]
    energy = summarize(loaded, idle, images_per_run=2)
    assert energy['energy_j_per_img'] == 400 / 60
    assert energy['energy_net_j_per_img'] == (400 - 10 * 20) / 60
    assert energy['energy_windows_j_per_img'] == [5, 7.5]
    assert energy['power_w'] == 20


def test_counter_that_stands_still_is_no_zero():
    clock = Clock()
    trace = Trace(clock)
    energy = measure_energy(
        lambda: clock.sleep(1), 1, 'cpu', reader=trace, clock=clock, pause=trace.idle
    )
    assert [energy[name] for name in NUMBERS] == [None] * len(NUMBERS)
    assert energy['reasons']['energy_j_per_img'] == 'the energy counter does not move'


class Gpu:
    """Power that rises from 100 W by 10 W a second, as a recording has it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def power_w(self) -> float:
        return 100 + 10 * (self.clock.now - 100)

    def temperature_c(self) -> float:
        return 50.0


def test_polled_power_is_integrated_between_readings():
    clock = Clock()
    reader = PowerReader(Gpu(clock), clock)
    for seconds in (1, 2, 1):
        clock.sleep(seconds)
        used = reader.joules()
    assert used == pytest.approx(100 * 4 + 10 * 4**2 / 2)


def _zone(root: Path, name: str, title: str, energy_uj: int, end_uj: int) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / 'name').write_text(f'{title}\n')
    (folder / 'energy_uj').write_text(f'{energy_uj}\n')
    (folder / 'max_energy_range_uj').write_text(f'{end_uj}\n')
    return folder / 'energy_uj'


def test_packages_are_summed_and_their_counters_wrap(tmp_path):
    first = _zone(tmp_path, 'intel-rapl:0', 'package-0', 9_000_000, 10_000_000)
    second = _zone(tmp_path, 'intel-rapl:1', 'package-1', 1_000_000, 10_000_000)
    core = _zone(tmp_path, 'intel-rapl:0:0', 'core', 0, 10_000_000)
    platform = _zone(tmp_path, 'intel-rapl:2', 'psys', 0, 10_000_000)
    reader = RaplReader(tmp_path)
    assert reader.joules() == 0
    core.write_text('5000000')
    platform.write_text('5000000')
    assert reader.joules() == 0
    first.write_text('9500000')
    second.write_text('3000000')
    assert reader.joules() == pytest.approx(0.5 + 2)
    first.write_text('500000')  # past its end: 0.5 J to it and 0.5 J after it
    assert reader.joules() == pytest.approx(2.5 + 1)
    with pytest.raises(SensorError):
        reader.temperature_c()


def test_missing_counters_are_a_reason(tmp_path):
    with pytest.raises(SensorError, match='no energy counters of the CPU'):
        RaplReader(tmp_path / 'powercap')
    _zone(tmp_path, 'intel-rapl:0', 'package-0', 1, 10).unlink()
    with pytest.raises(SensorError, match='energy_uj: No such file'):
        RaplReader(tmp_path)


def test_counters_of_root_are_a_reason_that_says_what_to_do(tmp_path):
    counter = _zone(tmp_path, 'intel-rapl:0', 'package-0', 1, 10)
    counter.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        for folder in (tmp_path, *tmp_path.parents[:3]):
            folder.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(SensorError, match=r'root only.*chmod a\+r'):
            RaplReader(tmp_path)
    finally:
        if is_root:
            os.seteuid(0)


def test_this_machine_has_a_number_or_a_reason():
    reason = None
    try:
        with open_reader('cpu') as reader:
            assert reader.joules() >= 0
    except SensorError as error:
        reason = str(error)
    energy = measure_energy(lambda: sleep(0.01), 1, 'cpu', windows=1, seconds=0.5)
    assert (energy['energy_j_per_img'] is None) == (reason is not None)
    assert energy['reasons'].get('energy_j_per_img') == reason


@pytest.mark.gpu
def test_busy_gpu_draws_more_than_an_idle_one():
    matrix = torch.randn(4096, 4096, device='cuda')
    energy = measure_energy(lambda: matrix @ matrix, 1, 'cuda', windows=1, seconds=3)
    assert energy['power_w'] > energy['idle_power_w'] > 0
    assert 0 < energy['energy_net_j_per_img'] < energy['energy_j_per_img']
