"""What concatenations are used for: the weights of the layers that read them.

- https://arxiv.org/abs/1608.06993 (DenseNet), figure 5.
- https://arxiv.org/abs/1904.09730 (VoVNet), figure 2.

A layer that reads a concatenation has a slice of weights for each source. The mean of
their absolute values says how much the layer takes from it: the L1 norm of the slice
over its number of weights, so that wide and narrow sources can be compared.

    sources       x        layer 1    layer 2
    weights  |. . . . . .|. . . .|. . . .|   one row for each output channel
               mean |w|   mean |w|  mean |w|
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from mmeff.errors import UserError
from mmeff.models.backbones import DenseNet, VoVNet
from mmeff.models.backbones.densenet import DenseBlock
from mmeff.models.backbones.vovnet import OSAModule


@dataclass(frozen=True)
class AggregationMap:
    """Mean absolute weights between layers.

    Attributes:
        title: Name of the part of the network.
        sources, targets: Names of the layers that are concatenated and that read them.
        values: Shape (sources, targets), NaN where a target does not read a source.
    """

    title: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Values over the greatest of their target, shape (sources, targets).

        A norm follows each target, so that the scale of its weights has no meaning;
        how they are shared out among the sources has.
        """
        return self.values / np.nanmax(self.values, axis=0)


def aggregation_maps(backbone: nn.Module) -> list[AggregationMap]:
    """Maps of a backbone: VoVNet has one for all modules, DenseNet one for each block.

    Raises:
        UserError: The backbone is of another family.
    """
    check_supported(backbone)
    if isinstance(backbone, VoVNet):
        return [_map_modules(backbone)]
    return _map_blocks(backbone)


def check_supported(backbone: nn.Module) -> None:
    """Check that it is known what the concatenations of a backbone are made of.

    Raises:
        UserError: The backbone is of another family.
    """
    if not isinstance(backbone, VoVNet | DenseNet):
        raise UserError(
            f'backbone {type(backbone).__name__}: expected VoVNet or DenseNet, of which '
            'it is known what their concatenations are made of'
        )


def slice_means(weight: Tensor, widths: Sequence[int]) -> list[float]:
    """Mean absolute value of each slice of input channels.

    Args:
        weight: Of a convolution that reads a concatenation, shape (out, in, k, k).
        widths: Channels of each source, in the order of the concatenation.

    Raises:
        ValueError: The widths do not add up to the input channels.
    """
    if sum(widths) != weight.shape[1]:
        raise ValueError(
            f'sources of {tuple(widths)} channels: the layer reads {weight.shape[1]}'
        )
    return [part.abs().mean().item() for part in weight.detach().split(widths, dim=1)]


def _map_modules(backbone: VoVNet) -> AggregationMap:
    """Columns are OSA modules, each with one target: the 1x1 at its end."""
    modules = {
        f'stage {stage + 2}, module {number}': module
        for stage, part in enumerate(backbone.stages)
        for number, module in enumerate(_parts(part, OSAModule), 1)
    }
    columns = [
        slice_means(module.aggregate.conv.weight, _osa_widths(module))
        for module in modules.values()
    ]
    sources = ('input', *(f'conv {i}' for i in range(1, len(columns[0]))))
    return AggregationMap('OSA modules', sources, tuple(modules), np.array(columns).T)


def _osa_widths(module: OSAModule) -> list[int]:
    """Channels of the input, which the first convolution reads, and of each 3x3."""
    first = _convs(module)[0]
    return [
        first.in_channels,
        *(_convs(conv)[-1].out_channels for conv in module.convs),
    ]


def _map_blocks(backbone: DenseNet) -> list[AggregationMap]:
    """Targets of a block are its layers and, if it has a convolution, the transition."""
    maps = []
    for stage in backbone.stages:
        blocks, transitions = _parts(stage, DenseBlock), _transitions(stage)
        for block, transition in zip(blocks, transitions, strict=True):
            maps.append(_map_block(f'block {len(maps) + 1}', block, transition))
    return maps


def _map_block(title: str, block: DenseBlock, transition: nn.Module) -> AggregationMap:
    targets = {f'layer {i}': _convs(layer)[0] for i, layer in enumerate(block, 1)}
    widths = [_convs(layer)[-1].out_channels for layer in block]
    widths.insert(0, targets['layer 1'].in_channels)
    layers = tuple(targets)
    if convs := _convs(transition):
        targets['transition'] = convs[0]
    # Each target reads one source more than the target before it.
    sources = ('input', *layers)[: len(targets)]
    values = np.full((len(sources), len(targets)), np.nan)
    for column, conv in enumerate(targets.values()):
        means = slice_means(conv.weight, widths[: column + 1])
        values[: len(means), column] = means
    return AggregationMap(title, sources, tuple(targets), values)


def _parts(module: nn.Module, kind: type) -> list:
    return [part for part in module.modules() if isinstance(part, kind)]


def _convs(module: nn.Module) -> list[nn.Conv2d]:
    """Convolutions in the order in which they run."""
    return _parts(module, nn.Conv2d)


def _transitions(stage: nn.Module) -> list[nn.Module]:
    return [
        child for name, child in stage.named_children() if name.startswith('transition')
    ]
