"""Batches for a network that was compiled for one input size."""

import torch
from torch import Tensor

from mmeff.deploy.parts import Run
from mmeff.errors import UserError


class FixedBatch:
    """Runs a batch piece by piece, each of the size the network was made for.

    Args:
        run: The network.
        shape: Of its input, ``(B, 3, H, W)``.

    Raises:
        UserError: On other images, or a number of them that B does not divide.
    """

    def __init__(self, run: Run, shape: tuple[int, ...]) -> None:
        self.run, self.shape = run, tuple(shape)

    def __call__(self, inputs: Tensor) -> tuple[Tensor, ...]:
        if tuple(inputs.shape) == self.shape:
            return self.run(inputs)
        batch = self.shape[0]
        if inputs.shape[1:] != self.shape[1:] or len(inputs) % batch:
            raise UserError(
                f'input of shape {tuple(inputs.shape)}: this network was made for '
                f'{self.shape} (batch, channels, height, width); optimise or export it '
                'with dynamic sizes'
            )
        pieces = [self.run(piece) for piece in inputs.split(batch)]
        return tuple(torch.cat(outputs) for outputs in zip(*pieces, strict=True))
