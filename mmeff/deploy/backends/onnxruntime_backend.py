"""ONNX Runtime, on a CPU or with CUDA."""

import importlib.util

import numpy as np
import torch
from torch import Tensor

from mmeff.deploy.backends import Settings
from mmeff.deploy.backends.fixed_batch import FixedBatch
from mmeff.deploy.onnx_part import onnx_bytes
from mmeff.deploy.parts import Part, Run

PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider'}


def missing(settings: Settings) -> str | None:
    """Why this backend cannot be used."""
    for module in ('onnxruntime', 'onnxscript'):
        if importlib.util.find_spec(module) is None:
            return f'{module} is not installed: pip install "mmeff[onnx]"'
    import onnxruntime

    provider = PROVIDERS[settings.device.type]
    if provider not in onnxruntime.get_available_providers():
        return f'this onnxruntime has no {provider}'
    if settings.precision != 'fp32':
        return f'ONNX Runtime is used with fp32, not {settings.precision}'
    return None


def build(
    part: Part, settings: Settings, dynamic: bool, providers: list | None = None
) -> Run:
    """A session of the part's exported network, with the device's provider by default."""
    run = Session(onnx_bytes(part, dynamic), settings, providers)
    return run if dynamic else FixedBatch(run, part.example.shape)


class Session:
    """Runs an ONNX file.

    Args:
        content: The file.
        settings: Device and threads.
        providers: As for onnxruntime; by default that of the device.
    """

    def __init__(
        self, content: bytes, settings: Settings, providers: list | None = None
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.num_threads
        self.session = onnxruntime.InferenceSession(
            content,
            options,
            providers=providers or [PROVIDERS[settings.device.type]],
        )
        self.device = settings.device
        self.input = self.session.get_inputs()[0].name

    def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
        array = np.ascontiguousarray(inputs.cpu().numpy())
        outputs = self.session.run(None, {self.input: array})
        return tuple(torch.from_numpy(output).to(self.device) for output in outputs)
