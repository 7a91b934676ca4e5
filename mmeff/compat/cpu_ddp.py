"""mmengine's distributed training assumes GPUs.

Why: with the launchers of PyTorch and SLURM it sets a CUDA device and asks for NCCL on
machines without one, and the Runner hands GPU `device_ids` to the model wrapper.
Upstream: `_init_dist_pytorch`, `_init_dist_slurm` and `Runner.wrap_model` of mmengine
0.10.7; no thread.
Delete when: `torchrun ... --launcher pytorch` trains on CPUs with stock mmengine.
"""

import functools


def _init_gloo_without_gpu(module) -> None:
    import torch
    from mmengine.device import get_device

    of_pytorch, of_slurm = module._init_dist_pytorch, module._init_dist_slurm

    @functools.wraps(of_pytorch)
    def init_dist_pytorch(backend, init_backend='torch', **kwargs):
        if get_device() != 'cpu':
            return of_pytorch(backend, init_backend=init_backend, **kwargs)
        return torch.distributed.init_process_group(backend='gloo', **kwargs)

    @functools.wraps(of_slurm)
    def init_dist_slurm(backend, *args, **kwargs):
        try:
            return of_slurm(backend, *args, **kwargs)
        except (AssertionError, RuntimeError):
            if get_device() != 'cpu' or torch.distributed.is_initialized():
                raise
        # it has put what SLURM says into RANK and the like before it asked for a GPU
        kwargs = {k: v for k, v in kwargs.items() if k not in ('port', 'init_backend')}
        return torch.distributed.init_process_group(backend='gloo', **kwargs)

    module._init_dist_pytorch = init_dist_pytorch
    module._init_dist_slurm = init_dist_slurm


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
