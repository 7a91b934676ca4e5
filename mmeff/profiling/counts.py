"""Parameters of a model, and what a run of it computes and moves, layer by layer.

The run is executed and its operators are counted as they are dispatched: no tracing,
so that any model which runs can be counted. It has to run eagerly: what `torch.compile`
has fused is not seen.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from mmeff.profiling.operators import (
    LayerCost,
    ModulePath,
    OperatorMode,
    elements_moved,
    layer_cost,
    no_fused_layers,
    tensors_of,
)

REST = '(rest)'  # what ran outside of all parts; no module can have this name


@dataclass(frozen=True)
class Params:
    """Elements of a model's parameters; shared ones count once, buffers do not."""

    total: int
    trainable: int


@dataclass(frozen=True)
class Operations:
    """What one run computes and moves, of all images in it.

    Attributes:
        layers: Convolutions, matrix products and attention; calls that are alike in
            module, operator and sizes are one.
        elementwise: Elements that all other operators on floating-point numbers read
            and write, by the path of the module; views move nothing.
        uncounted: Calls of these operators, which have no formula for multiplications,
            by name: normalisation, activation, pooling, but also deformable
            convolution and grid sampling.
    """

    layers: tuple[LayerCost, ...]
    elementwise: dict[str, int]
    uncounted: dict[str, int]

    @property
    def macs(self) -> int:
        """Multiply-accumulates; biases are not counted."""
        return sum(layer.macs for layer in self.layers)

    @property
    def flops(self) -> int:
        """Two per multiply-accumulate."""
        return 2 * self.macs

    @property
    def activations(self) -> int:
        """Elements that the layers put out. (RegNet, which counts convolutions)"""
        return sum(layer.activations for layer in self.layers)

    @property
    def memory_access(self) -> int:
        """Elements that the layers read and write by the papers' formula."""
        return sum(layer.memory_access for layer in self.layers)

    @property
    def elementwise_access(self) -> int:
        """Elements that all other operators read and write."""
        return sum(self.elementwise.values())


def count_params(model: nn.Module) -> Params:
    """Count the parameters of a model."""
    parameters = list(model.parameters())
    return Params(
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
    )


def count_operations(
    run: Callable[[], object], model: nn.Module | None = None
) -> Operations:
    """Count the arithmetic of one run, which is executed once.

    Args:
        run: A callable without arguments, such as ``lambda: model(image)``.
        model: Whose modules name the layers; without it all names are ''.
    """
    with torch.no_grad(), no_fused_layers(), ModulePath(model) as path:
        counter = _Counter(path)
        with counter:
            run()
    return Operations(
        sum_calls(counter.calls),
        dict(counter.elementwise),
        dict(sorted(counter.uncounted.items())),
    )


def sum_calls(calls: Counter[LayerCost]) -> tuple[LayerCost, ...]:
    """Single calls with how often they occurred, as one `LayerCost` each."""
    return tuple(
        replace(
            call,
            calls=times,
            macs=times * call.macs,
            activations=times * call.activations,
            memory_access=times * call.memory_access,
        )
        for call, times in calls.items()
    )


def sum_parts(
    model: nn.Module,
    operations: Operations,
    images: int = 1,
    times_ms: Mapping[str, float] | None = None,
) -> list[dict]:
    """Split what was counted among the parts of a model.

    Args:
        model: Its children are the parts; those of `roi_head` in place of it.
        operations: Counted with this model.
        images: How many were counted; the numbers are divided by it.
        times_ms: Milliseconds by path of the module, as `LayerTimes.modules` has them.

    Returns:
        One dict per part with parameters or operations: name, params_m, macs_g,
        activations_m, memory_access_m, elementwise_access_m, and latency_ms, None
        without times. What belongs to no part is the last one, `REST`: methods of a
        detector, and those of a head that are not its `forward`. So parts add up to the
        whole; parameters that are shared belong to the first part that has them.
    """
    parts = {path: Counter() for path in [*_part_paths(model), REST]}
    for layer in operations.layers:
        part = parts[_part_of(layer.name, parts)]
        part['macs'] += layer.macs
        part['activations'] += layer.activations
        part['memory_access'] += layer.memory_access
    for name, elements in operations.elementwise.items():
        parts[_part_of(name, parts)]['elementwise_access'] += elements
    for name, time_ms in (times_ms or {}).items():
        parts[_part_of(name, parts)]['latency_ms'] += time_ms
    # each parameter once
    for name, parameter in model.named_parameters():
        parts[_part_of(name, parts)]['params'] += parameter.numel()
    return [
        {
            'name': path,
            'params_m': part['params'] / 1e6,
            'macs_g': part['macs'] / images / 1e9,
            'activations_m': part['activations'] / images / 1e6,
            'memory_access_m': part['memory_access'] / images / 1e6,
            'elementwise_access_m': part['elementwise_access'] / images / 1e6,
            'latency_ms': None if times_ms is None else part['latency_ms'] / images,
        }
        for path, part in parts.items()
        if any(part.values())
    ]


def _part_paths(model: nn.Module) -> Iterable[str]:
    for name, child in model.named_children():
        if name == 'roi_head':
            yield from (f'{name}.{head}' for head, _ in child.named_children())
        else:
            yield name


def _part_of(name: str, paths: Iterable[str]) -> str:
    """The part that a module or parameter lies in."""
    inside = (path for path in paths if f'{name}.'.startswith(f'{path}.'))
    return next(inside, REST)


class _Counter(OperatorMode):
    def __init__(self, path: ModulePath) -> None:
        super().__init__()
        self.path = path
        self.calls = Counter()
        self.elementwise = Counter()
        self.uncounted = Counter()

    def handle(self, func, args, kwargs):
        out = func(*args, **kwargs)
        name = self.path.current
        call = layer_cost(name, func, args, kwargs, out)
        if call is not None:
            self.calls[call] += 1
        elif any(tensor.is_floating_point() for tensor in tensors_of(args)):
            self.elementwise[name] += elements_moved(func, args, out)
            self.uncounted[func.name().split('.')[0]] += 1
        return out
