"""A network as an ONNX file."""

import copy
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from torch import Tensor, nn
from torch.nn import functional as F

from mmeff.deploy.fusion import fuse_conv_bn
from mmeff.deploy.parts import Part
from mmeff.errors import UserError

OPSET = 20
OPSETS = (18, 23)  # the first that torch writes, the last that it knows
INPUT = 'input'
BOX_HEAD = ('cls_score', 'bbox_pred')
MAX_BYTES = 2**31 - 2**20  # protobuf's limit of a file, less a graph without weights
# They warn, with tracebacks, of what has no effect on the result: sizes that sympy cannot
# tell limits of, operators of libraries that are not installed.
STEPS = (32, 64, 128)  # pixels between sizes, where not all sizes can be had
LOUD = ('torch.fx.experimental.symbolic_shapes', 'torch.onnx', 'onnxscript', 'onnx_ir')


def onnx_bytes(part: Part, dynamic: bool = True, opset: int = OPSET) -> bytes:
    """Export a part; its outputs are named as mmdet's heads call them.

    Args:
        part: The network, in float32.
        dynamic: Let the axes vary that may; otherwise the sizes are the example's.
        opset: Version of ONNX' operators.

    Raises:
        UserError: torch cannot export the network, or it is too large for a file.
    """
    if part.onnx is not None:
        return part.onnx
    axes = part.dynamic if dynamic else {}
    names = output_names(part)
    module = fused(part)
    return trace(part.name, module, part.example.cpu(), axes, names, opset=opset)


@torch.no_grad()
def fused(part: Part) -> nn.Module:
    """A copy of a part's network on the CPU, batch norms folded into convolutions."""
    module = copy.deepcopy(part.module).cpu().eval()
    for layer in module.modules():
        if type(layer) is Conv2dAdaptivePadding:
            layer.__class__ = _SamePadding
    example = part.example.cpu()
    fuse_conv_bn(module, lambda: module(example))
    return module


@torch.no_grad()
def output_names(part: Part) -> list[str]:
    """Names of a part's outputs, in order: 'cls_score_0', 'cls_score_1', ..."""
    head = part.module.head
    if part.on_rois:
        outputs = head(part.example)
        if isinstance(outputs, Tensor):
            return ['mask_pred' if 'mask_head' in part.name else 'feature']
        return list(BOX_HEAD[: len(outputs)])
    features, outputs = part.module.nested(part.example)
    arguments = inspect.signature(head.predict_by_feat).parameters
    kinds = [name.removesuffix('s') for name in arguments]
    names = [f'feature_{i}' for i in range(len(features))]
    for kind, levels in zip(kinds, outputs, strict=False):
        names += [f'{kind}_{i}' for i in range(len(levels))]
    return names


@torch.no_grad()
def trace(
    what: str,
    module: nn.Module,
    example: Tensor,
    axes: Mapping[int, str],
    outputs: Sequence[str],
    *,
    opset: int = OPSET,
    name: str = INPUT,
    translations: Mapping | None = None,
) -> bytes:
    """The ONNX file of a module with one input.

    Args:
        what: What messages call it.
        module: In eval mode, on the CPU.
        example: Of its input.
        axes: Those of the input that vary, with their names.
        outputs: Names of the tensors that it returns.
        opset: Version of ONNX' operators.
        name: Of the input.
        translations: Functions of onnxscript for operators that torch cannot translate.

    Raises:
        UserError: torch cannot export it, or it is too large for a file.
    """
    _check(what, module, opset)
    try:
        with _quiet():
            traced, names = _traced(_Positional(module).eval(), example, axes)
            program = torch.onnx.export(
                traced,
                dynamic_shapes={'inputs': names},
                opset_version=opset,
                dynamo=True,
                input_names=[name],
                output_names=list(outputs),
                custom_translation_table=translations,
                verbose=False,
            )
            buffer = io.BytesIO()
            program.save(buffer)
    except Exception as error:  # of many libraries, and of the network's own code
        cause = error.__cause__ or error
        lines = [line for line in str(cause).splitlines() if line.strip()]
        raise UserError(
            f'{what} cannot be exported to ONNX: {type(cause).__name__}: '
            f'{lines[0] if lines else "no message"}'
        ) from error
    return buffer.getvalue()


def _traced(
    module: nn.Module, example: Tensor, axes: Mapping[int, str]
) -> tuple[torch.export.ExportedProgram, dict[int, str]]:
    """The module's graph for all sizes, and the names that its axes are to get.

    Where sympy cannot tell for which sizes maps fit together, height and width are
    multiples of one of `STEPS`, and called '64*height'.
    """
    if not axes:
        return torch.export.export(module, (example,)), {}
    if 0 in axes and len(example) == 1:  # a size of 1 stands for itself only
        example = example.repeat(2, *[1] * (example.dim() - 1))
    ways = [(None, False), (None, True)]  # the last one copes with len(images)
    if len(axes) > 1:
        ways[1:1] = [(step, False) for step in STEPS]
    failures = []
    for step, strict in ways:
        shapes = {axis: _axis(axis, name, step) for axis, name in axes.items()}
        try:
            graph = torch.export.export(
                module, (example,), dynamic_shapes=(shapes,), strict=strict
            )
        except Exception as error:  # among others, of sympy
            failures.append(error)
            continue
        return graph, {
            axis: f'{step}*{name}' if step and axis else name
            for axis, name in axes.items()
        }
    raise failures[0]


def _axis(axis: int, name: str, step: int | None) -> object:
    if step is None:
        return torch.export.Dim.DYNAMIC
    dim = torch.export.Dim(name, min=1)
    return step * dim if axis else dim


def _check(what: str, module: nn.Module, opset: int) -> None:
    first, last = OPSETS
    if not first <= opset <= last:
        raise UserError(f'opset {opset}: expected {first} to {last}')
    size = sum(t.nbytes for t in (*module.parameters(), *module.buffers()))
    if size > MAX_BYTES:
        raise UserError(
            f'{what} has {size / 2**30:.1f} GB of weights; an ONNX file holds less than '
            '2 GB, and mmeff does not write weights beside it. Use the backend torch or '
            'compile'
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings, and of the exporters' loggers only errors."""
    loggers = [logging.getLogger(name) for name in LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _SamePadding(Conv2dAdaptivePadding):
    """mmcv's padding in whole numbers: with its fractions sympy does not come to an end."""

    def forward(self, maps: Tensor) -> Tensor:
        sides = []
        for axis in (1, 0):  # F.pad begins with the last
            reach = (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
            spare = (
                reach - self.stride[axis] + -maps.shape[2 + axis] % self.stride[axis]
            )
            spare = spare if reach >= self.stride[axis] else max(spare, 0)
            sides += [spare // 2, spare - spare // 2]
        weights = self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        return F.conv2d(F.pad(maps, sides), *weights)


class _Positional(nn.Module):
    """Gives the input one name whatever the module calls it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return self.module(inputs)
