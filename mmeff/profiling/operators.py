"""Operators as they are dispatched: in which module, and what they cost by their sizes.

Counting at the dispatcher sees what really runs: functional convolutions, heads that
are called once per level, and methods that no hook of a module meets. Only modules'
names come from hooks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch._C import DispatchKey
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
COMPOSITE = DispatchKey.CompositeImplicitAutograd

# Products of tensors: what they are called here, and where their factors stand.
FACTORS = {
    aten.convolution: ('convolution', (0, 1)),
    aten.mm: ('linear', (0, 1)),
    aten.addmm: ('linear', (1, 2)),
    aten.bmm: ('matmul', (0, 1)),
    aten.baddbmm: ('matmul', (1, 2)),
    aten.mv: ('matmul', (0, 1)),
    aten.dot: ('matmul', (0, 1)),
    aten._scaled_dot_product_flash_attention: ('attention', (0, 1, 2)),
    aten._scaled_dot_product_efficient_attention: ('attention', (0, 1, 2)),
    aten._scaled_dot_product_cudnn_attention: ('attention', (0, 1, 2)),
    aten._scaled_dot_product_flash_attention_for_cpu: ('attention', (0, 1, 2)),
}


def _flops_of_vectors(first: Tensor, *_, **__) -> int:
    return 2 * first.numel()


# FLOPs that torch's registry lacks.
MORE_FLOPS = {
    aten.mv: _flops_of_vectors,
    aten.dot: _flops_of_vectors,
    aten._scaled_dot_product_flash_attention_for_cpu: flop_counter.sdpa_flop,
}
# Operators that only hand out memory, though no view by their schema.
MOVE_NOTHING = {
    'empty',
    'empty_like',
    'empty_strided',
    'new_empty',
    'new_empty_strided',
    '_unsafe_view',
}
# Operators that do not read their first tensor: it is overwritten or a pattern.
OVERWRITE = {'copy_', 'fill_', 'zero_'}


@dataclass(frozen=True)
class LayerCost:
    """Products that one module did, in one or more calls that are alike.

    Attributes:
        name: Dotted path of the innermost module that ran it, '' outside of all.
        op: 'convolution', 'transposed_convolution', 'linear' (a product of two
            matrices), 'matmul' (any other product) or 'attention' (fused); for other
            operators that torch has a formula for, their own name.
        calls: How many; the next three are sums over them.
        macs: Multiply-accumulates, biases not counted.
        activations: Elements of the output.
        memory_access: Elements of the factors and of the output, each met once. Of a
            convolution h_in w_in c_in + h_out w_out c_out + k k c_in c_out / groups:
            the maps once per image, the weight once per call. (ShuffleNetV2, G1)
        output_shape: Of one call, as the operator gives it; a linear layer's leading
            sizes are one.
        groups: Of a convolution; else 1.
        kernel: Of a convolution, (kh, kw); else ().
        depthwise: A convolution with as many groups as input channels.
    """

    name: str
    op: str
    calls: int
    macs: int
    activations: int
    memory_access: int
    output_shape: tuple[int, ...]
    groups: int = 1
    kernel: tuple[int, ...] = ()
    depthwise: bool = False


def layer_cost(
    name: str, func: torch._ops.OpOverload, args: tuple, kwargs: dict, out
) -> LayerCost | None:
    """Cost of one call, None if the operator has no formula."""
    packet = func.overloadpacket
    flops = MORE_FLOPS.get(packet) or flop_counter.flop_registry.get(packet)
    if flops is None:
        return None
    op, positions = FACTORS.get(packet, (packet.__name__, None))
    factors = tensors_of(args) if positions is None else [args[i] for i in positions]
    output = tensors_of(out)[0]
    geometry = {}
    if packet is aten.convolution:
        image, weight, groups, transposed = args[0], args[1], args[8], args[6]
        op = 'transposed_convolution' if transposed else op
        geometry = {
            'groups': groups,
            'kernel': tuple(weight.shape[2:]),
            'depthwise': groups == image.shape[1] > 1,
        }
    return LayerCost(
        name,
        op,
        calls=1,
        macs=flops(*args, **kwargs, out_val=out) // 2,
        activations=output.numel(),
        memory_access=output.numel() + sum(t.numel() for t in factors),
        output_shape=tuple(output.shape),
        **geometry,
    )


def elements_moved(func: torch._ops.OpOverload, args: tuple, out) -> int:
    """Elements that an operator reads and writes.

    A tensor counts whole even if it is read in parts, as in indexing.
    """
    packet = func.overloadpacket.__name__
    pattern = packet.startswith('new_') or packet.endswith('_like')
    read = args[1:] if pattern or packet in OVERWRITE else args
    return sum(t.numel() for t in tensors_of(read) + tensors_of(out))


def tensors_of(values) -> list[Tensor]:
    """Tensors in an operator's arguments or outputs, in order."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (tuple, list)):
        return [tensor for value in values for tensor in tensors_of(value)]
    return []


class ModulePath:
    """Knows the module of a model whose `forward` runs.

    A context manager. Modules that do not belong to the model, and methods other than
    `forward`, count to the module that called them.
    """

    def __init__(self, model: nn.Module | None) -> None:
        named = () if model is None else model.named_modules()
        self._names = {module: name for name, module in named}  # shared ones have one
        self._running = []
        self._handles = []

    @property
    def current(self) -> str:
        """Dotted path of the innermost module, '' for the model itself or outside."""
        return self._running[-1][1] if self._running else ''

    def __enter__(self) -> 'ModulePath':
        if self._names:
            self._handles = [
                register_module_forward_pre_hook(self._start),
                # called when a forward raises, too: the model may catch that
                register_module_forward_hook(self._finish, always_call=True),
            ]
        return self

    def __exit__(self, *_) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._running = [], []

    def _start(self, module: nn.Module, _inputs) -> None:
        name = self._names.get(module, self.current)
        self._running.append((module, name))

    def _finish(self, module: nn.Module, _inputs, _output) -> None:
        # absent if another's hook raised before `_start`
        if self._running and self._running[-1][0] is module:
            self._running.pop()


class OperatorMode(TorchDispatchMode):
    """Shows each operator that computes or moves something to `handle`.

    Composite operators, which arrive whole under `torch.inference_mode`, are taken apart
    first.
    """

    def handle(self, func: torch._ops.OpOverload, args: tuple, kwargs: dict):
        """Run the operator and return its output."""
        raise NotImplementedError

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if _is_composite(func):
            with self:
                # Not `func.decompose`, which prefers slow rewrites in Python: it would
                # run an upsampling as an indexing.
                return func._op_dk(COMPOSITE, *args, **kwargs)
        if _moves_nothing(func):
            return func(*args, **kwargs)
        return self.handle(func, args, kwargs)


@contextmanager
def no_fused_layers() -> Iterator[None]:
    """Keep `nn.MultiheadAttention` and kin from running as one opaque operator."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@cache
def _is_composite(func: torch._ops.OpOverload) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), COMPOSITE)


@cache
def _moves_nothing(func: torch._ops.OpOverload) -> bool:
    return (
        func.is_view
        or torch.Tag.inplace_view in func.tags
        or func.overloadpacket.__name__ in MOVE_NOTHING
    )
