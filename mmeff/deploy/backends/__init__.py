"""What runs a network: torch as it is, compiled, or another runtime.

Each module here has `missing(settings)`, the reason why it cannot run there or None, and
`build(part, settings, dynamic)`, which gives a function in place of the part's module;
`dynamic` tells whether the sizes of its inputs vary.
"""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import torch

from mmeff.errors import UserError

PRECISIONS = {
    'fp32': torch.float32,
    'bf16': torch.bfloat16,
    'fp16': torch.float16,
}
BACKENDS = ('torch', 'compile', 'onnxruntime', 'openvino', 'tensorrt')


@dataclass(frozen=True)
class Settings:
    """How a network is run.

    Attributes:
        device: Where.
        precision: A key of `PRECISIONS`.
        threads: Of one operator on the CPU; torch's own choice if None.
    """

    device: torch.device
    precision: str = 'fp32'
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(
                f'precision {self.precision!r}: expected one of {", ".join(PRECISIONS)}'
            )

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.precision]

    @property
    def num_threads(self) -> int:
        return self.threads or torch.get_num_threads()


def backend(name: str) -> ModuleType:
    """The module of a backend.

    Raises:
        UserError: There is no such backend.
    """
    if name not in BACKENDS:
        raise UserError(f'backend {name!r}: expected one of {", ".join(BACKENDS)}')
    return import_module(f'mmeff.deploy.backends.{name}_backend')


def available(settings: Settings) -> dict[str, str | None]:
    """Of each backend, why it cannot be used here; None if it can."""
    return {name: backend(name).missing(settings) for name in BACKENDS}
