"""PyTorch: batch norms folded, channels last, no autograd; each input size as it comes."""

import copy

import torch
from torch import Tensor, nn

from mmeff.deploy.backends import Settings
from mmeff.deploy.fusion import fuse_conv_bn
from mmeff.deploy.parts import Part, Run


def missing(settings: Settings) -> str | None:
    """Why this backend cannot be used: half precision of torch on CPUs is for storage."""
    if settings.device.type == 'cpu' and settings.precision == 'fp16':
        return 'torch has no fast fp16 on a CPU; use bf16'
    return None


def build(part: Part, settings: Settings, dynamic: bool) -> Run:
    """The part's network in its fastest form that needs no compiler."""
    return _Runner(prepare(part, settings), settings.dtype)


def prepare(part: Part, settings: Settings) -> nn.Module:
    """A copy of the network: fused, in its precision, channels last."""
    module = copy.deepcopy(part.module).to(settings.device)
    fuse_conv_bn(module, lambda: module(part.example))
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module.eval().to(settings.dtype).to(memory_format=torch.channels_last)


class _Runner:
    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        self.module, self.dtype = module, dtype

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
        inputs = inputs.to(self.dtype, memory_format=torch.channels_last)
        return tuple(output.float() for output in self.module(inputs))
