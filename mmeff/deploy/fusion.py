"""Convolution and batch normalisation as one convolution, for inference.

Pairs are found by running the model, not by the order in which its layers were defined:
a norm is fused when its input is, unchanged, the output of a convolution, and both are
run once. The norms of pre-activation networks stay.
"""

from collections import Counter
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._pytree import tree_leaves

TOLERANCE = 1e-4  # of the largest value of an output


@torch.no_grad()
def fuse_conv_bn(model: nn.Module, run: Callable[[], object]) -> tuple[int, int]:
    """Fuse the pairs of a model in place and check that it computes the same.

    Args:
        model: In eval mode, in float32.
        run: Runs the model; returns tensors, in any nesting.

    Returns:
        Batch norms that were fused, and those that are left.

    Raises:
        ValueError: The outputs are not the same.
    """
    names = {module: name for name, module in model.named_modules()}
    pairs, before = _find_pairs(model, run)
    for norm, conv in pairs.items():
        model.set_submodule(names[conv], fuse_conv_bn_eval(conv, norm))
        model.set_submodule(names[norm], nn.Identity())
    _check_equal(before, _tensors(run()))
    left = sum(isinstance(module, _BatchNorm) for module in model.modules())
    return len(pairs), left


def _find_pairs(
    model: nn.Module, run: Callable[[], object]
) -> tuple[dict[nn.Module, nn.Module], list[torch.Tensor]]:
    """{norm: convolution}, and the outputs of the run."""
    calls, found, handles = Counter(), [], []

    def mark(conv, _, output):
        calls[conv] += 1
        output.written_by = conv, output._version

    def look(norm, inputs):
        calls[norm] += 1
        conv, version = getattr(inputs[0], 'written_by', (None, None))
        if conv is not None and inputs[0]._version == version:
            found.append((norm, conv))

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(mark))
        elif isinstance(module, _BatchNorm):
            handles.append(module.register_forward_pre_hook(look))
    try:
        outputs = [tensor.clone() for tensor in _tensors(run())]
    finally:
        for handle in handles:
            handle.remove()
    once = {module for module, number in calls.items() if number == 1}
    return {n: conv for n, conv in found if n in once and conv in once}, outputs


def _tensors(outputs: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]


def _check_equal(before: list[torch.Tensor], after: list[torch.Tensor]) -> None:
    for old, new in zip(before, after, strict=True):
        difference = (old - new).abs().max() / old.abs().max().clamp(min=1e-12)
        if not difference <= TOLERANCE:
            raise ValueError(
                f'outputs differ by {difference:.1e} after fusing convolutions and '
                f'batch norms, more than {TOLERANCE:g}'
            )
