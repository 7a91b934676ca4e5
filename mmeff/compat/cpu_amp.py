"""mmengine refuses mixed precision on a CPU.

Why: `AmpOptimWrapper` asserts a GPU, though its autocast already knows bfloat16 on
CPUs, which needs no loss scaling; and its gradient scaler is torch's deprecated one.
Upstream: `AmpOptimWrapper.__init__` of mmengine 0.10.7; no thread found.
Delete when: `AmpOptimWrapper` can be built on a machine without an accelerator.
"""

from functools import partial


def apply(module) -> None:
    import torch

    if module.is_npu_available() or module.is_mlu_available():
        return
    # Only the assertion reads this name; autocast asks for the device itself.
    module.is_cuda_available = lambda: True
    # A disabled scaler hands losses and steps through unchanged.
    module.GradScaler = partial(
        torch.amp.GradScaler, 'cuda', enabled=torch.cuda.is_available()
    )
