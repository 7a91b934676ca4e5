"""mmengine's distributed training assumes GPUs.

Why: with the PyTorch launcher it sets a CUDA device and asks for NCCL on machines
without one, and the Runner hands GPU `device_ids` to the model wrapper.
Upstream: `_init_dist_pytorch` and `Runner.wrap_model` of mmengine 0.10.7; no thread.
Delete when: `torchrun ... --launcher pytorch` trains on CPUs with stock mmengine.
"""

import functools


def _init_gloo_without_gpu(module) -> None:
    import torch
    from mmengine.device import get_device

    original = module._init_dist_pytorch

    @functools.wraps(original)
    def init_dist_pytorch(backend, init_backend='torch', **kwargs):
        if get_device() != 'cpu':
            return original(backend, init_backend=init_backend, **kwargs)
        return torch.distributed.init_process_group(backend='gloo', **kwargs)

    module._init_dist_pytorch = init_dist_pytorch


def _drop_device_ids_on_cpu(module) -> None:
    wrapper = module.MMDistributedDataParallel
    original = wrapper.__init__

    @functools.wraps(original)
    def init(self, module, *args, **kwargs):
        if next(module.parameters()).device.type == 'cpu':
            kwargs['device_ids'] = None
        original(self, module, *args, **kwargs)

    wrapper.__init__ = init


def apply(module) -> None:
    if hasattr(module, 'MMDistributedDataParallel'):
        _drop_device_ids_on_cpu(module)
    else:
        _init_gloo_without_gpu(module)
