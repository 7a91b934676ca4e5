"""A network as an ONNX file."""

import copy
import io
import warnings

import torch

from mmeff.deploy.fusion import fuse_conv_bn
from mmeff.deploy.parts import Part
from mmeff.errors import UserError

OPSET = 20
INPUT = 'input'


def onnx_bytes(part: Part, dynamic: bool = True, opset: int = OPSET) -> bytes:
    """Export a part.

    Args:
        part: The network, in float32.
        dynamic: Let the axes vary that may; otherwise the sizes are the example's.
        opset: Version of ONNX' operators.

    Raises:
        UserError: torch cannot export the network.
    """
    module = copy.deepcopy(part.module).cpu().eval()
    example = part.example.cpu()
    fuse_conv_bn(module, lambda: module(example))
    shapes = None
    if dynamic:
        shapes = {INPUT: dict.fromkeys(part.dynamic, torch.export.Dim.DYNAMIC)}
    module = _Named(module)
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            program = torch.onnx.export(
                module,
                (example,),
                dynamic_shapes=shapes,
                opset_version=opset,
                dynamo=True,
                input_names=[INPUT],
                verbose=False,
            )
    except Exception as error:
        raise UserError(
            f'{part.name} cannot be exported to ONNX: {type(error).__name__}: '
            f'{str(error).strip().splitlines()[0]}'
        ) from error
    program.save(buffer)
    return buffer.getvalue()


class _Named(torch.nn.Module):
    """Gives the input its name."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input):
        return self.module(input)
