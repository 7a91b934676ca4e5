"""`torch.compile`: frozen weights on a CPU, CUDA graphs on a GPU."""

import shutil

import torch
from torch import Tensor, nn

from mmeff.deploy.backends import Settings, torch_backend
from mmeff.deploy.parts import Part, Run


def missing(settings: Settings) -> str | None:
    """Why this backend cannot be used."""
    if settings.device.type == 'cpu' and not shutil.which('g++'):
        return 'torch.compile needs a C++ compiler (g++) on a CPU'
    return torch_backend.missing(settings)


def build(part: Part, settings: Settings, dynamic: bool) -> Run:
    """The part's network, compiled at the first call."""
    return _Runner(torch_backend.prepare(part, settings), settings, dynamic)


class _Runner:
    def __init__(self, module: nn.Module, settings: Settings, dynamic: bool) -> None:
        mode = 'reduce-overhead' if settings.device.type == 'cuda' else 'default'
        self.dtype = settings.dtype
        self.module = torch.compile(module, mode=mode, dynamic=dynamic)

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
        inputs = inputs.to(self.dtype, memory_format=torch.channels_last)
        with torch._inductor.config.patch(freezing=True):
            outputs = self.module(inputs)
        # a CUDA graph writes its next outputs to the same memory
        return tuple(output.to(torch.float32, copy=True) for output in outputs)
