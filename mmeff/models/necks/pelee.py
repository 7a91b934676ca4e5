"""Pelee's neck: extra maps, and a residual block before each prediction.

https://arxiv.org/abs/1804.06882, section 3.1 and Figure 4. At 304 pixels::

    stage 3 (19) ─────────────────────── block ──┬─ map 1 (19)
                                                 └─ map 2 (19)
    stage 4 (10) ──┬──────────────────── block ──── map 3 (10)
                 extra (5) ──┬────────── block ──── map 4 (5)
                           extra (3) ─┬─ block ──── map 5 (3)
                                    extra (1) ─ block ─ map 6 (1)
"""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmeff.models.layers import conv_norm_act
from mmeff.models.layers.conv import activation
from mmeff.registry import MODELS

EXTRA_CHANNELS = 256
# Of each extra: channels between its convolutions, stride and padding of the second.
EXTRAS = ((256, 2, 1), (128, 1, 0), (128, 1, 0))
DEFAULT_INIT_CFG = [
    {'type': 'Xavier', 'layer': 'Conv2d', 'distribution': 'uniform'},
    {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
]


class ResidualPrediction(nn.Module):
    """Residual block between a map and its predictions, Figure 4.

    ``(B, in_channels, H, W) -> (B, out_channels, H, W)``
    """

    def __init__(self, in_channels: int, out_channels: int, layers: dict) -> None:
        super().__init__()
        linear = {**layers, 'act_cfg': None}
        width = out_channels // 2
        self.shortcut = conv_norm_act(in_channels, out_channels, **linear)
        self.branch = nn.Sequential(
            conv_norm_act(in_channels, width, **layers),
            conv_norm_act(width, width, 3, **layers),
            conv_norm_act(width, out_channels, **linear),
        )
        self.act = activation(layers['act_cfg'])

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.shortcut(x) + self.branch(x))


@MODELS.register_module()
class PeleeNeck(BaseModule):
    """Six maps for prediction out of the last two of a backbone.

    Input ``(B, in_channels[i], H[i], W[i])`` at strides 16 and 32, the second 9 cells
    wide or wider; output a tuple of six maps with `out_channels`. The finest one is in it
    twice, because two sizes of priors lie on it: a map at stride 8 would cost too much.
    The extra maps have biases and no norms, the residual blocks norms, as in the authors'
    Caffe code.

    Args:
        in_channels: Of the two maps of the backbone.
        out_channels: Of the maps.
        norm_cfg, act_cfg: BN, with Caffe's epsilon of 0.001, and ReLU by default.
        init_cfg: Xavier by default.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (512, 704),
        out_channels: int = 256,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT_CFG)
        act_cfg = act_cfg or {'type': 'ReLU'}
        layers = {'norm_cfg': norm_cfg or {'type': 'BN', 'eps': 0.001}}
        layers['act_cfg'] = act_cfg
        channels = list(in_channels)
        self.extras = nn.ModuleList()
        for width, stride, padding in EXTRAS:
            self.extras.append(
                nn.Sequential(
                    nn.Conv2d(channels[-1], width, 1),
                    activation(act_cfg),
                    nn.Conv2d(width, EXTRA_CHANNELS, 3, stride, padding),
                    activation(act_cfg),
                )
            )
            channels.append(EXTRA_CHANNELS)
        self.blocks = nn.ModuleList(
            ResidualPrediction(width, out_channels, layers) for width in channels
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        sources = list(inputs)
        for extra in self.extras:
            sources.append(extra(sources[-1]))
        maps = [block(x) for block, x in zip(self.blocks, sources, strict=True)]
        return (maps[0], *maps)
