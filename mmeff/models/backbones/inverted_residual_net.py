"""Networks of inverted residuals: what MobileNetV2, MobileNetV3 and EfficientNet share.

A stem convolution, a row of blocks, a last 1x1 convolution, and a head. The families
are tables of blocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from mmeff.models.backbones.base import Backbone, split_stages
from mmeff.models.layers import InvertedResidual, conv_norm_act


@dataclass(frozen=True)
class BlockSpec:
    """One inverted residual; see `InvertedResidual`."""

    in_channels: int
    hidden: int
    out_channels: int
    kernel_size: int
    stride: int
    reduced: int = 0  # hidden channels of squeeze-and-excitation; 0: it has none
    act: str = 'ReLU6'


class InvertedResidualNet(Backbone):
    """Backbone made from a table of inverted residuals.

    Blocks at stride 2 belong to the stem; every stride after it begins a stage.

    Args:
        blocks: In the order in which they run.
        final: Channels of the last 1x1 convolution, ``stages[4]``.
        stem_act, final_act: Activations around the blocks.
        excite: Makes the squeeze-and-excitation of a block, from its spec.
        expansion_taps: Out of `out_indices`: stages that give, in place of their last
            map, its expansion by the first block of the next stage. It has the same
            stride and more channels; SSDLite detects on it.
        drop_path_rate: Chance that the last block is skipped in training; falls
            linearly to 0 at the first.
        others: See `Backbone`.
    """

    def __init__(
        self,
        blocks: Sequence[BlockSpec],
        final: int,
        *,
        in_channels: int,
        stem_act: dict,
        final_act: dict,
        excite: Callable[[BlockSpec], nn.Module] | None,
        expansion_taps: Sequence[int],
        drop_path_rate: float,
        conv_cfg: dict | None,
        norm_cfg: dict,
        act_cfg: dict | None,
        with_cp: bool,
        out_indices: Sequence[int],
        frozen_stages: int,
        norm_eval: bool,
        num_classes: int,
        init_cfg: dict | list[dict] | None,
    ) -> None:
        groups = split_stages(blocks)
        channels = [group[-1].out_channels for group in groups[1:]] + [final]
        super().__init__(
            channels, out_indices, frozen_stages, norm_eval, num_classes, init_cfg
        )
        layers = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg}
        rates = iter(drop_path_rate * i / len(blocks) for i in range(len(blocks)))
        parts = [
            [
                InvertedResidual(
                    spec.in_channels,
                    spec.hidden,
                    spec.out_channels,
                    spec.kernel_size,
                    spec.stride,
                    {**layers, 'act_cfg': act_cfg or {'type': spec.act}},
                    excite(spec) if spec.reduced else None,
                    next(rates),
                    with_cp,
                )
                for spec in group
            ]
            for group in groups[: self.num_stages + 1]
        ]
        width = blocks[0].in_channels
        stem = conv_norm_act(in_channels, width, 3, 2, **layers, act_cfg=stem_act)
        self.stem = nn.Sequential(stem, *parts[0])
        self.stages = nn.ModuleList(nn.Sequential(*part) for part in parts[1:])
        if self.num_stages == len(channels):
            self.stages.append(
                conv_norm_act(channels[-2], final, **layers, act_cfg=final_act)
            )
        self._set_expansion_taps(expansion_taps, groups)

    def _set_expansion_taps(self, taps: Sequence[int], groups: list) -> None:
        possible = [i for i in self.out_indices[:-1] if i < 3]
        if not set(taps) <= set(possible):
            raise ValueError(
                f'expansion_taps={tuple(taps)}: expected stages out of {possible}, '
                f'those of out_indices={self.out_indices} that another one follows'
            )
        self.expansion_taps = tuple(taps)
        self.out_channels = tuple(
            groups[i + 2][0].hidden if i in taps else channels
            for i, channels in zip(self.out_indices, self.out_channels, strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...] | Tensor:
        if not self.expansion_taps:
            return super().forward(x)
        x = self.stem(x)
        outputs = []
        for i, stage in enumerate(self.stages):
            if i - 1 in self.expansion_taps:
                expanded = stage[0].expand(x)
                outputs.append(expanded)
                x = stage[1:](stage[0].finish(x, expanded))
            else:
                x = stage(x)
            if i in self.out_indices and i not in self.expansion_taps:
                outputs.append(x)
        return tuple(outputs) if self.head is None else self.head(x)
