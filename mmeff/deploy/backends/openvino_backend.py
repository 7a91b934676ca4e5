"""OpenVINO on a CPU."""

import importlib.util

import numpy as np
import torch
from torch import Tensor

from mmeff.deploy.backends import Settings
from mmeff.deploy.backends.fixed_batch import FixedBatch
from mmeff.deploy.onnx_part import onnx_bytes
from mmeff.deploy.parts import Part, Run

PRECISIONS = {'fp32': 'f32', 'bf16': 'bf16', 'fp16': 'f16'}


def missing(settings: Settings) -> str | None:
    """Why this backend cannot be used."""
    for module in ('openvino', 'onnxscript'):
        if importlib.util.find_spec(module) is None:
            return f'{module} is not installed: pip install "mmeff[openvino]"'
    if settings.device.type != 'cpu':
        return f'OpenVINO is used on CPUs, not on {settings.device.type}'
    return None


def build(part: Part, settings: Settings, dynamic: bool) -> Run:
    """A compiled model of the part's exported network."""
    run = Compiled(onnx_bytes(part, dynamic), settings)
    return run if dynamic else FixedBatch(run, part.example.shape)


class Compiled:
    """Runs an ONNX file.

    Args:
        content: The file.
        settings: Precision and threads.
    """

    def __init__(self, content: bytes, settings: Settings) -> None:
        import openvino

        core = openvino.Core()
        config = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_NUM_THREADS': settings.num_threads,
            'INFERENCE_PRECISION_HINT': PRECISIONS[settings.precision],
        }
        model = core.read_model(content)
        self.request = core.compile_model(model, 'CPU', config).create_infer_request()

    def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
        import openvino

        # less Python than with arrays as arguments, whose wrapper looks at each first
        array = np.ascontiguousarray(inputs.numpy())
        self.request.set_input_tensor(openvino.Tensor(array, shared_memory=True))
        outputs = self.request.infer(share_outputs=True).to_tuple()
        return tuple(torch.from_numpy(data.copy()).float() for data in outputs)
