"""ShuffleNetV2: units that split the channels, work on one half, and shuffle.

https://arxiv.org/abs/1807.11164, section 3, Figure 3 and Table 5; the units with
squeeze-and-excitation or residual, and the large networks, are in its appendix::

    image -> 3x3/2 -> max pool -> 4 units -> 8 units -> 4 units -> 1x1
    stride     2         4           8          16         32       32
    channels  24        24         116         232        464     1024
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmeff.models.backbones.base import Backbone, find_arch
from mmeff.models.layers import Block, SqueezeExcite, conv_norm_act, linear_head
from mmeff.models.layers.conv import activation
from mmeff.registry import MODELS

FORMS = ('megvii', 'torchvision')


@dataclass(frozen=True)
class ShuffleNetV2Arch:
    """Widths and depths of one variant; `widths` and `units` are for strides 4 to 32."""

    widths: tuple[int, int, int, int]
    final: int  # channels of the last 1x1 convolution
    units: tuple[int, int, int, int] = (0, 4, 8, 4)
    stem: tuple[int, ...] = (24,)  # channels of the 3x3 convolutions before the pool
    dropout: float = 0.0  # before the classifier, in form 'megvii'
    se: bool = False
    residual: bool = False


ARCHS = {
    '0.5': ShuffleNetV2Arch((24, 48, 96, 192), 1024),
    '1.0': ShuffleNetV2Arch((24, 116, 232, 464), 1024),
    '1.5': ShuffleNetV2Arch((24, 176, 352, 704), 1024),
    '2.0': ShuffleNetV2Arch((24, 244, 488, 976), 2048, dropout=0.2),
    '50': ShuffleNetV2Arch((244, 488, 976, 1952), 2048, (3, 4, 6, 3), (64,)),
    'se-164': ShuffleNetV2Arch(
        (340, 680, 1360, 2720),
        2048,
        (10, 10, 23, 10),
        (64, 64, 128),
        se=True,
        residual=True,
    ),
}


class ShuffleUnit(Block):
    """Split, three convolutions on one half, concatenate; Figure 3 (c) and (d).

    ``(B, in_channels, H, W) -> (B, out_channels, ~H / stride, ~W / stride)``. A unit
    that changes the shape does not split: both branches see the whole input.

    Args:
        in_channels, out_channels, stride: Of the unit.
        form: Where the channels are shuffled, see `ShuffleNetV2`.
        se: Squeeze-and-excitation after the last convolution.
        residual: Add the half that entered, before the last activation.
        with_cp: See `Block`.
        layers: `conv_cfg`, `norm_cfg` and `act_cfg` of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        form: str,
        se: bool,
        residual: bool,
        with_cp: bool,
        layers: dict,
    ) -> None:
        super().__init__(with_cp)
        self.form = form
        half = out_channels // 2
        splits = stride == 1 and in_channels == out_channels
        width = half if splits or form == 'torchvision' else in_channels
        self.proj = None
        if not splits:
            self.proj = _separable(in_channels, width, stride, layers)
        act_cfg = layers['act_cfg']
        last = {**layers, 'act_cfg': None if residual else act_cfg}
        self.main = nn.Sequential(
            conv_norm_act(half if splits else in_channels, half, **layers),
            *_separable(half, out_channels - width, stride, last),
        )
        self.excite = None
        if se:
            self.excite = SqueezeExcite(
                out_channels - width, half, nn.ReLU(inplace=True), nn.Sigmoid()
            )
        self.act = activation(act_cfg) if residual else None

    def _forward(self, x: Tensor) -> Tensor:
        if self.proj is not None:
            kept = self.proj(x)
        elif self.form == 'megvii':
            kept, x = deinterleave(x)
        else:
            kept, x = x.chunk(2, dim=1)
        y = self.main(x)
        if self.excite is not None:
            y = self.excite(y)
        if self.act is not None:
            y = self.act(y + x if self.proj is None else y)
        if self.form == 'megvii':
            return torch.cat((kept, y), dim=1)
        return interleave(kept, y)


def interleave(a: Tensor, b: Tensor) -> Tensor:
    """Channels a0, b0, a1, b1, ...: concatenation and shuffle in one copy.

    ``(B, C, H, W)`` twice ``-> (B, 2 C, H, W)`` in the memory format of the inputs.
    """
    if b.is_contiguous(memory_format=torch.channels_last):
        last = torch.stack((a.movedim(1, 3), b.movedim(1, 3)), dim=4)
        return last.flatten(3).movedim(3, 1)
    return torch.stack((a, b), dim=2).flatten(1, 2)


def deinterleave(x: Tensor) -> tuple[Tensor, Tensor]:
    """Views of the even and the odd channels, the inverse of `interleave`."""
    if x.is_contiguous(memory_format=torch.channels_last):
        a, b = x.movedim(1, 3).unflatten(3, (-1, 2)).unbind(4)
        return a.movedim(3, 1), b.movedim(3, 1)
    return x.unflatten(1, (-1, 2)).unbind(2)


def _separable(
    in_channels: int, out_channels: int, stride: int, layers: dict
) -> nn.Sequential:
    """Depthwise 3x3 without activation, then 1x1."""
    linear = {**layers, 'act_cfg': None}
    return nn.Sequential(
        conv_norm_act(in_channels, in_channels, 3, stride, in_channels, **linear),
        conv_norm_act(in_channels, out_channels, **layers),
    )


@MODELS.register_module()
class ShuffleNetV2(Backbone):
    """ShuffleNetV2 backbone, or ImageNet classifier when `num_classes` is given.

    Two forms were published, and the weights of one do not fit the other:

    - ``form='megvii'``: the authors' code, and the only one with the paper's
      multiply-adds. A unit splits even and odd channels, so that the shuffle is where
      the next unit begins. The projection of a unit of stride 2 keeps its channels and
      the other branch adds the rest. No classifier bias.
    - ``form='torchvision'``: torchvision and OpenMMLab. A unit splits by position and
      shuffles at its end. Both branches of a unit of stride 2 have half of the output.

    Shapes and errors as in `Backbone`. ``stages[0]`` is the max pool (and in '50' and
    'se-164' the units at stride 4), ``stages[4]`` the last 1x1 convolution. A stage puts
    out its last unit as published: concatenated ('megvii') or shuffled ('torchvision').

    Args:
        arch: A key of `ARCHS`; the width multipliers may be floats, 50 an int.
        form: 'megvii' or 'torchvision', see above.
        se: Squeeze-and-excitation in every unit (appendix, Figure 2b); the hidden layer
            has half of the unit's channels. Always in 'se-164'.
        residual: Add the half that was worked on to the result (Figure 2a and 2c).
            Always in 'se-164'.
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        with_cp: Checkpoint every unit: less memory, more time.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.
    """

    def __init__(
        self,
        arch: str | float = '1.0',
        form: str = 'megvii',
        se: bool = False,
        residual: bool = False,
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        num_classes: int = 0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        spec = find_arch(ARCHS, str(arch))
        if form not in FORMS:
            raise ValueError(f'form={form!r}: expected one of {", ".join(FORMS)}')
        channels = (*spec.widths, spec.final)
        super().__init__(
            channels, out_indices, frozen_stages, norm_eval, num_classes, init_cfg
        )
        self.form = form
        norm_cfg, act_cfg = norm_cfg or {'type': 'BN'}, act_cfg or {'type': 'ReLU'}
        layers = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        stem = zip((in_channels, *spec.stem), spec.stem, (2, 1, 1), strict=False)
        self.stem = nn.Sequential(
            *(conv_norm_act(a, b, 3, stride, **layers) for a, b, stride in stem)
        )
        options = (form, spec.se or se, spec.residual or residual, with_cp, layers)
        self.stages = nn.ModuleList(
            _build_stage(i, spec, options) for i in range(min(self.num_stages, 4))
        )
        if self.num_stages == 5:
            self.stages.append(conv_norm_act(spec.widths[-1], spec.final, **layers))
        if form == 'megvii':
            self.head = linear_head(spec.final, num_classes, spec.dropout, bias=False)
        else:
            self.head = linear_head(spec.final, num_classes)
        self.freeze()


def _build_stage(index: int, spec: ShuffleNetV2Arch, options: tuple) -> nn.Sequential:
    """Units of one width; before those at stride 4, the max pool."""
    parts = [nn.MaxPool2d(3, stride=2, padding=1)] if index == 0 else []
    width, out = (spec.stem[-1], *spec.widths)[index : index + 2]
    for k in range(spec.units[index]):
        stride = 2 if k == 0 and index > 0 else 1
        parts.append(ShuffleUnit(width, out, stride, *options))
        width = out
    return nn.Sequential(*parts)
