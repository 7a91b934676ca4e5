"""Clock, temperature, power and throttling of a GPU while something is measured."""

import threading
from contextlib import ExitStack, suppress

import numpy as np
import torch

from mmeff.profiling.nvml import Gpu, SensorError

PERIOD_SECONDS = 0.2  # five readings a second, which a run does not feel
# key of the summary: method of `Gpu`
GAUGES = {
    'sm_clock_mhz': 'sm_clock_mhz',
    'gpu_temperature_c': 'temperature_c',
    'gpu_power_w': 'power_w',
}
THROTTLE_KEYS = ('throttled', 'throttle_reasons')


class ClockMonitor:
    """Watches the GPU of a device, in a thread, while it is open as a context.

    Args:
        device: On a CPU nothing is watched, and the summary says so.
        gpu: In place of the device's own.
        period: Seconds between two readings.
    """

    def __init__(
        self,
        device: str | torch.device,
        gpu: Gpu | None = None,
        period: float = PERIOD_SECONDS,
    ) -> None:
        self._device = torch.device(device)
        self._gpu = gpu
        self._period = period
        self._stack = ExitStack()
        self._stop = threading.Event()
        self._thread = None
        self._readings = {key: [] for key in GAUGES}
        self._throttles = None  # set of names, once they could be read
        self._reasons = {}

    def __enter__(self) -> 'ClockMonitor':
        try:
            if self._gpu is None:
                self._gpu = self._stack.enter_context(Gpu.of(self._device))
        except SensorError as error:
            self._reasons = dict.fromkeys((*GAUGES, *THROTTLE_KEYS), str(error))
            return self
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
        with suppress(SensorError):
            self._stack.close()

    def summary(self) -> dict:
        """What was seen.

        Returns:
            `throttled`, whether one of `nvml.THROTTLES` held in any reading, and their
            names in `throttle_reasons`; `sm_clock_mhz`, `gpu_temperature_c` and
            `gpu_power_w` as {min, mean, max}; None for what could not be read, with
            the cause in `reasons`.
        """
        names = None if self._throttles is None else sorted(self._throttles)
        return {
            'throttled': None if names is None else bool(names),
            'throttle_reasons': names,
            **{key: _range(values) for key, values in self._readings.items()},
            'reasons': self._reasons,
        }

    def _watch(self) -> None:
        while True:
            self._read()
            if self._stop.wait(self._period):
                return

    def _read(self) -> None:
        for key, method in GAUGES.items():
            try:
                self._readings[key].append(getattr(self._gpu, method)())
            except SensorError as error:
                self._reasons[key] = str(error)
        try:
            self._throttles = (self._throttles or set()) | self._gpu.throttle_reasons()
        except SensorError as error:
            self._reasons.update(dict.fromkeys(THROTTLE_KEYS, str(error)))


def _range(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {'min': min(values), 'mean': float(np.mean(values)), 'max': max(values)}
