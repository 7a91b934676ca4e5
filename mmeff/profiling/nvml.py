"""An NVIDIA GPU as the driver's management library (NVML) knows it.

Read only: clocks and limits are never set. What a card or a driver does not tell
becomes a `SensorError` that says so.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Reasons for lower clocks that spoil a measurement, by their names in NVML. Idle clocks
# and clocks that somebody set on purpose are none.
THROTTLES = (
    'SwPowerCap',
    'HwSlowdown',
    'SwThermalSlowdown',
    'HwThermalSlowdown',
    'HwPowerBrakeSlowdown',
)


class SensorError(Exception):
    """A sensor that cannot be read; the message is the reason, for people."""


class Gpu:
    """The sensors of one GPU, while it is open as a context.

    Args:
        uuid: As NVML prints it, 'GPU-...'.

    Raises:
        SensorError: There is no NVML, or it knows no such GPU, or the GPU is split;
            each method raises it too, when the GPU does not have the sensor.
    """

    def __init__(self, uuid: str) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise SensorError(
                'the package nvidia-ml-py is not installed (pip install nvidia-ml-py)'
            ) from error
        self._nvml = pynvml
        self._call('nvmlInit')
        self._handle = self._call('nvmlDeviceGetHandleByUUID', uuid)
        if self._is_split():
            raise SensorError('the GPU is split (MIG); its sensors tell of all parts')

    @classmethod
    def of(cls, device: str | torch.device) -> Gpu:
        """The GPU behind a torch device, whichever of the GPUs are visible to torch.

        Raises:
            SensorError: The device is no GPU of NVIDIA, or see above.
        """
        import torch

        device = torch.device(device)
        if device.type != 'cuda' or torch.version.cuda is None:
            raise SensorError(f'{device} is no NVIDIA GPU')
        return cls(f'GPU-{torch.cuda.get_device_properties(device).uuid}')

    def __enter__(self) -> Gpu:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call('nvmlShutdown')

    def energy_j(self) -> float:
        """Joules since the driver was loaded, from the counter of the board."""
        return self._ask('nvmlDeviceGetTotalEnergyConsumption') / 1000

    def power_w(self) -> float:
        """Power of the board in this moment."""
        return self._ask('nvmlDeviceGetPowerUsage') / 1000

    def temperature_c(self) -> float:
        """Temperature of the chip."""
        return float(
            self._ask('nvmlDeviceGetTemperature', self._nvml.NVML_TEMPERATURE_GPU)
        )

    def sm_clock_mhz(self) -> float:
        """Clock of the multiprocessors."""
        return float(self._ask('nvmlDeviceGetClockInfo', self._nvml.NVML_CLOCK_SM))

    def throttle_reasons(self) -> set[str]:
        """Those of `THROTTLES` that hold in this moment."""
        bits = self._ask('nvmlDeviceGetCurrentClocksThrottleReasons')
        return {name for name in THROTTLES if bits & self._bit(name)}

    def _is_split(self) -> bool:
        try:
            mode, _ = self._ask('nvmlDeviceGetMigMode')
        except SensorError:  # cards before the A100 do not know it
            return False
        return mode == self._nvml.NVML_DEVICE_MIG_ENABLE

    def _bit(self, name: str) -> int:
        return getattr(self._nvml, f'nvmlClocksThrottleReason{name}')

    def _ask(self, function: str, *args):
        return self._call(function, self._handle, *args)

    def _call(self, function: str, *args):
        try:
            return getattr(self._nvml, function)(*args)
        except self._nvml.NVMLError as error:
            raise SensorError(f'{function}: {error}') from error
