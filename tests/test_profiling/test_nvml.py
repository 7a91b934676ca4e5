"""NVIDIA's binding against a library of ours that answers like a driver."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmeff.profiling.nvml import THROTTLES, Gpu, SensorError

FAKE = Path(__file__).with_name('fake_nvml.c')
UUID = 'GPU-0a1b2c3d-0000-1111-2222-333344445555'


@pytest.fixture(scope='module')
def driver(tmp_path_factory) -> Path:
    """Folder of a libnvidia-ml.so.1 that was made from `fake_nvml.c`."""
    if shutil.which('cc') is None:
        pytest.skip('no C compiler')
    folder = tmp_path_factory.mktemp('driver')
    library = folder / 'libnvidia-ml.so.1'
    subprocess.run(['cc', '-shared', '-fPIC', '-o', library, FAKE], check=True)
    return folder


@pytest.fixture
def with_gpu(driver):
    """with_gpu(code, **variables) -> what the code prints in a process with that GPU."""

    def call(code: str, **variables: str) -> str:
        path = f'{driver}:{os.environ.get("LD_LIBRARY_PATH", "")}'
        env = {**os.environ, 'LD_LIBRARY_PATH': path, 'FAKE_UUID': UUID, **variables}
        start = 'from mmeff.profiling.nvml import Gpu, SensorError\n'
        done = subprocess.run(
            [sys.executable, '-c', start + code],
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return call


def test_every_sensor_is_read_in_its_unit(with_gpu):
    code = f"""
with Gpu({UUID!r}) as gpu:
    print(gpu.energy_j(), gpu.energy_j(), gpu.power_w(), gpu.temperature_c())
    print(gpu.sm_clock_mhz(), sorted(gpu.throttle_reasons()))
"""
    lines = with_gpu(code, FAKE_REASONS='0x27').splitlines()
    # idle (0x1) and clocks that somebody set (0x2) are no throttling
    assert lines == [
        '3.0 5.0 250.0 55.0',
        "1980.0 ['SwPowerCap', 'SwThermalSlowdown']",
    ]


@pytest.mark.parametrize(
    ('uuid', 'variables', 'reason'),
    [
        ('GPU-another', {}, 'nvmlDeviceGetHandleByUUID: Not Found'),
        (UUID, {'FAKE_MIG': '1'}, 'the GPU is split (MIG)'),
    ],
)
def test_gpu_that_cannot_be_watched_says_why(with_gpu, uuid, variables, reason):
    code = f"""
try:
    Gpu({uuid!r})
except SensorError as error:
    print(error)
"""
    assert reason in with_gpu(code, **variables)


def test_energy_comes_from_the_counter_or_from_the_power(with_gpu):
    code = f"""
import os, torch
from time import perf_counter, sleep
from mmeff.profiling import energy

Gpu.of = lambda device: Gpu({UUID!r})
torch.cuda.synchronize = lambda device: None
energy.SETTLE_SECONDS, energy.IDLE_SECONDS = 0, 0.2
for variables in ({{}}, {{'FAKE_NO_TOTAL': '1'}}):
    os.environ.update(variables)
    print(energy.measure_energy(lambda: sleep(0.01), 1, 'cuda', 2, 0.3)['energy_method'])
with energy.open_reader('cuda') as reader:
    begin, start = perf_counter(), reader.joules()
    sleep(0.5)
    print((reader.joules() - start) / (perf_counter() - begin))
"""
    counter, power, watts = with_gpu(code).splitlines()
    assert counter == 'nvml total energy counter'
    assert power == 'nvml power'
    assert float(watts) == pytest.approx(250, rel=0.01)


def test_without_a_driver_the_reason_is_told():
    if torch.cuda.is_available():
        pytest.skip('there is a driver')
    with pytest.raises(SensorError, match='NVML Shared Library Not Found'):
        Gpu(UUID)
    with pytest.raises(SensorError, match='cpu is no NVIDIA GPU'):
        Gpu.of('cpu')


@pytest.mark.gpu
def test_gpu_of_torch_has_every_sensor():
    with Gpu.of('cuda') as gpu:
        assert gpu.temperature_c() > 0
        assert gpu.power_w() > 0
        assert gpu.sm_clock_mhz() > 0
        assert gpu.energy_j() > 0
        assert gpu.throttle_reasons() <= set(THROTTLES)
