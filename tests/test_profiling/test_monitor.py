"""What a monitor saw, from recorded readings, and what it says without a GPU."""

from time import sleep

import pytest

from mmeff.profiling.monitor import ClockMonitor
from mmeff.profiling.nvml import SensorError


class Recording:
    """A GPU whose readings come from lists; the last of each stays."""

    def __init__(self, clocks, throttles, power=True) -> None:
        self.clocks, self.throttles, self.power = clocks, throttles, power

    def sm_clock_mhz(self) -> float:
        return self.clocks.pop(0) if len(self.clocks) > 1 else self.clocks[0]

    def temperature_c(self) -> float:
        return 61.0

    def power_w(self) -> float:
        if not self.power:
            raise SensorError('nvmlDeviceGetPowerUsage: Not Supported')
        return 250.0

    def throttle_reasons(self) -> set[str]:
        if self.throttles is None:
            raise SensorError(
                'nvmlDeviceGetCurrentClocksThrottleReasons: No Permission'
            )
        return self.throttles.pop(0) if len(self.throttles) > 1 else self.throttles[0]


def watch(gpu, seconds: float = 0.1) -> dict:
    with ClockMonitor('cuda', gpu, period=0.005) as monitor:
        sleep(seconds)
    return monitor.summary()


def test_lowest_mean_and_highest_clock_are_told():
    seen = watch(Recording([1980.0, 1200.0, 1500.0], [set()]))
    assert seen['sm_clock_mhz']['max'] == 1980
    assert seen['sm_clock_mhz']['min'] == 1200
    assert 1200 < seen['sm_clock_mhz']['mean'] < 1980
    assert seen['gpu_temperature_c'] == {'min': 61, 'mean': 61, 'max': 61}
    assert seen['gpu_power_w']['mean'] == 250
    assert seen['throttled'] is False
    assert seen['throttle_reasons'] == []
    assert seen['reasons'] == {}


def test_every_reason_that_ever_held_is_told():
    throttles = [set(), {'SwPowerCap'}, set(), {'HwThermalSlowdown'}, set()]
    seen = watch(Recording([1980.0], throttles))
    assert seen['throttled'] is True
    assert seen['throttle_reasons'] == ['HwThermalSlowdown', 'SwPowerCap']


def test_sensor_that_is_missing_does_not_take_the_others_with_it():
    seen = watch(Recording([1980.0], None, power=False))
    assert seen['sm_clock_mhz']['mean'] == 1980
    assert seen['gpu_power_w'] is None
    assert seen['throttled'] is seen['throttle_reasons'] is None
    assert 'Not Supported' in seen['reasons']['gpu_power_w']
    assert 'No Permission' in seen['reasons']['throttled']


def test_one_reading_is_made_even_of_a_short_measurement():
    assert watch(Recording([1980.0], [set()]), 0)['sm_clock_mhz']['mean'] == 1980


def test_cpu_has_no_clock_and_says_so():
    with ClockMonitor('cpu') as monitor:
        pass
    seen = monitor.summary()
    assert seen['throttled'] is seen['sm_clock_mhz'] is None
    assert seen['reasons']['throttled'] == 'cpu is no NVIDIA GPU'


@pytest.mark.gpu
def test_gpu_is_watched():
    seen = watch(None, 0.5)
    assert seen['sm_clock_mhz']['min'] > 0
    assert seen['throttled'] in (True, False)
