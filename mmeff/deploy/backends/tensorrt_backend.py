"""TensorRT, through ONNX Runtime's provider for it."""

import importlib.util

from mmeff.deploy.backends import Settings, onnxruntime_backend
from mmeff.deploy.parts import Part, Run

PROVIDER = 'TensorrtExecutionProvider'


def missing(settings: Settings) -> str | None:
    """Why this backend cannot be used."""
    if settings.device.type != 'cuda':
        return f'TensorRT runs on NVIDIA GPUs, not on {settings.device.type}'
    if importlib.util.find_spec('onnxruntime') is None:
        return 'onnxruntime-gpu is not installed'
    import onnxruntime

    if PROVIDER not in onnxruntime.get_available_providers():
        return f'this onnxruntime has no {PROVIDER}; install onnxruntime-gpu, tensorrt'
    return None


def build(part: Part, settings: Settings, dynamic: bool) -> Run:
    """A session of the part's exported network; TensorRT compiles it at the first run."""
    options = {
        'trt_fp16_enable': settings.precision == 'fp16',
        'trt_bf16_enable': settings.precision == 'bf16',
    }
    return onnxruntime_backend.build(part, settings, dynamic, [(PROVIDER, options)])
