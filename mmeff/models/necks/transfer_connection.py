"""RefineDet's neck: one more level, and the transfer connection blocks.

https://arxiv.org/abs/1711.06897, sections 3.1 and 3.2. Each map is read twice: by the
anchor refinement module (ARM) as it is, and by the object detection module (ODM) after
context from the next coarser level has been added to it::

    stride 8 ─┬── stride 16 ─┬── stride 32 ─┬── extra 64 ─┬───> ARM
              │              │              │             │
            block <── 2x ── block <── 2x ── block <── 2x ── block
              │              │              │             │
              └──────────────┴──────────────┴─────────────┴───> ODM
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmeff.models.layers import L2Norm, ProjectionBottleneck, conv_norm_act
from mmeff.models.layers.conv import activation, normalisation
from mmeff.registry import MODELS

EXTRA_CHANNELS = 512
# As the authors fill their layers: small Gaussians before a norm, else Xavier.
CONVOLUTIONS = ['Conv2d', 'ConvTranspose2d']
GAUSSIAN = {'type': 'Normal', 'std': 0.01, 'layer': CONVOLUTIONS}
XAVIER = {'type': 'Xavier', 'distribution': 'uniform', 'layer': CONVOLUTIONS}
UNIT_NORM = {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']}


class TransferConnectionBlock(nn.Module):
    """TCB: two 3x3 convolutions, context added, one more (the paper's Figure 2).

    A map ``(B, in_channels, H, W)`` and, unless it is `coarsest`, what the block of the
    next coarser level put out, ``(B, out_channels, H / 2, W / 2)``; to
    ``(B, out_channels, H, W)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        coarsest: bool,
        norm_cfg: dict | None,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        layers = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.lateral = nn.Sequential(
            conv_norm_act(in_channels, out_channels, 3, **layers),
            conv_norm_act(out_channels, out_channels, 3, norm_cfg=norm_cfg),
        )
        self.upsample = None if coarsest else _upsample(out_channels, norm_cfg)
        self.act = activation(act_cfg)
        self.smooth = conv_norm_act(out_channels, out_channels, 3, **layers)

    def forward(self, x: Tensor, coarser: Tensor | None = None) -> Tensor:
        x = self.lateral(x)
        if coarser is not None:
            x = x + self.upsample(coarser)
        return self.smooth(self.act(x))


@MODELS.register_module()
class TransferConnection(BaseModule):
    """Extra level and transfer connection blocks.

    Input: maps ``(B, in_channels[i], H / 2**i, W / 2**i)``, finest first. Output: twice
    as many maps and two more in one tuple. The first half are the ARM's sources, the
    input and an extra level of 512 channels; the second half the ODM's, of the same
    sizes with `out_channels` each.

    Args:
        in_channels: Of the maps of the backbone.
        extra: The level that is added, at half the size of the last map: 'bottleneck',
            a residual bottleneck of 128 channels as for ResNet and VoVNet; 'conv', 1x1
            of 256 channels and 3x3 as for VGG.
        l2_norm_scales: The first maps are divided by their norm over channels and
            multiplied with a learned scale that starts here; VGG: (10, 8).
        out_channels: Of the ODM's sources.
        norm_cfg: None: no norms but biases, as for VGG.
        act_cfg: ReLU by default.
        init_cfg: By default that of the authors.

    Attributes:
        source_channels: Of the ARM's sources.

    Raises:
        ValueError: Unknown `extra`; in `forward`, a map is not twice as large as the
            next one.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        extra: str = 'bottleneck',
        l2_norm_scales: Sequence[float] = (),
        out_channels: int = 256,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        weights = XAVIER if norm_cfg is None else GAUSSIAN
        super().__init__(init_cfg or [weights, UNIT_NORM])
        layers = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg or {'type': 'ReLU'}}
        self.source_channels = (*in_channels, EXTRA_CHANNELS)
        self.extra = _build_extra(extra, in_channels[-1], layers)
        self.l2_norms = nn.ModuleList(map(L2Norm, in_channels, l2_norm_scales))
        last = len(in_channels)
        self.blocks = nn.ModuleList(
            TransferConnectionBlock(channels, out_channels, i == last, **layers)
            for i, channels in enumerate(self.source_channels)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        sources = [*inputs, self.extra(inputs[-1])]
        for i, norm in enumerate(self.l2_norms):
            sources[i] = norm(sources[i])
        _check_sizes(sources)
        pyramid, coarser = [], None
        for block, source in zip(self.blocks[::-1], sources[::-1], strict=True):
            coarser = block(source, coarser)
            pyramid.append(coarser)
        return (*sources, *pyramid[::-1])


def _upsample(channels: int, norm_cfg: dict | None) -> nn.Sequential:
    bias = norm_cfg is None
    conv = nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=bias)
    layers = OrderedDict(conv=conv)
    if norm_cfg is not None:
        layers['norm'] = normalisation(norm_cfg, channels)
    return nn.Sequential(layers)


def _build_extra(kind: str, in_channels: int, layers: dict) -> nn.Module:
    if kind == 'bottleneck':
        return ProjectionBottleneck(in_channels, 128, EXTRA_CHANNELS, 2, **layers)
    if kind == 'conv':
        return nn.Sequential(
            conv_norm_act(in_channels, 256, 1, **layers),
            conv_norm_act(256, EXTRA_CHANNELS, 3, 2, **layers),
        )
    raise ValueError(f'extra={kind!r}: expected bottleneck or conv')


def _check_sizes(maps: Sequence[Tensor]) -> None:
    sizes = [tuple(x.shape[-2:]) for x in maps]
    for size, (height, width) in pairwise(sizes):
        if size != (2 * height, 2 * width):
            raise ValueError(
                f'maps of {", ".join(f"{h}x{w}" for h, w in sizes)}: expected each '
                'twice as large as the next; make the sides of the images multiples of '
                '64, as pad_size_divisor=64 of the data preprocessor does'
            )
