"""VoVNet: backbones of one-shot aggregation (OSA) modules.

- v1: https://arxiv.org/abs/1904.09730, section 3.3 and Table 1.
- v2: https://arxiv.org/abs/1911.06667 (CenterMask): adds identity mapping and eSE.

A network is a stem of three 3x3 convolutions and stages 2 to 5 of OSA modules::

    image -> stem -> stage2 -> pool, stage3 -> pool, stage4 -> pool, stage5
    stride            4              8               16              32
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmeff.models.backbones.base import Backbone, find_arch
from mmeff.models.layers import Block, conv_norm_act, linear_head
from mmeff.registry import MODELS


@dataclass(frozen=True)
class VoVNetArch:
    """Widths and depths of one variant; tuples of four are for stages 2 to 5."""

    stem: tuple[int, int, int]  # channels of the three stem convolutions
    mid: tuple[int, int, int, int]  # channels of the 3x3 convolutions in a module
    out: tuple[int, int, int, int]  # channels a stage puts out
    num_modules: tuple[int, int, int, int]  # OSA modules in a stage
    num_convs: int  # 3x3 convolutions in a module
    depthwise: bool = False  # all 3x3 but the first depthwise separable
    v2: bool = False  # identity mapping and eSE


STEM, STEM_DW = (64, 64, 128), (64, 64, 64)
SLIM, SLIM_OUT = (64, 80, 96, 112), (128, 256, 384, 512)
SLIM_OUT_V2 = (112, 256, 384, 512)  # stage 2 is narrower than in v1
WIDE, WIDE_OUT = (128, 160, 192, 224), (256, 512, 768, 1024)
ONE = (1, 1, 1, 1)

ARCHS = {
    '27-slim': VoVNetArch(STEM, SLIM, SLIM_OUT, ONE, 5),
    '39': VoVNetArch(STEM, WIDE, WIDE_OUT, (1, 1, 2, 2), 5),
    '57': VoVNetArch(STEM, WIDE, WIDE_OUT, (1, 1, 4, 3), 5),
    'v2-19-slim-dw': VoVNetArch(STEM_DW, SLIM, SLIM_OUT_V2, ONE, 3, True, v2=True),
    'v2-19-slim': VoVNetArch(STEM, SLIM, SLIM_OUT_V2, ONE, 3, v2=True),
    'v2-19-dw': VoVNetArch(STEM_DW, WIDE, WIDE_OUT, ONE, 3, True, v2=True),
    'v2-19': VoVNetArch(STEM, WIDE, WIDE_OUT, ONE, 3, v2=True),
    'v2-39': VoVNetArch(STEM, WIDE, WIDE_OUT, (1, 1, 2, 2), 5, v2=True),
    'v2-57': VoVNetArch(STEM, WIDE, WIDE_OUT, (1, 1, 4, 3), 5, v2=True),
    'v2-99': VoVNetArch(STEM, WIDE, WIDE_OUT, (1, 3, 9, 3), 5, v2=True),
}


def conv3x3(
    in_channels: int, out_channels: int, stride: int, depthwise: bool, layers: dict
) -> nn.Module:
    """3x3 convolution, norm and activation; dense or depthwise separable."""
    if not depthwise:
        return conv_norm_act(in_channels, out_channels, 3, stride, **layers)
    # As in the authors' code nothing stands between depthwise and pointwise.
    bare = {'conv_cfg': layers['conv_cfg'], 'bias': False}
    return nn.Sequential(
        OrderedDict(
            depthwise=conv_norm_act(
                in_channels, in_channels, 3, stride, in_channels, **bare
            ),
            pointwise=conv_norm_act(in_channels, out_channels, **layers),
        )
    )


def bottleneck_conv3x3(
    in_channels: int, out_channels: int, layers: dict
) -> nn.Sequential:
    """3x3 convolution behind a 1x1 of half its width: fewer MACs, more layers."""
    width = out_channels // 2
    return nn.Sequential(
        OrderedDict(
            reduce=conv_norm_act(in_channels, width, **layers),
            expand=conv3x3(width, out_channels, 1, False, layers),
        )
    )


class EffectiveSE(nn.Module):
    """Channel attention (eSE); a hard sigmoid as in the authors' code, not a sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class OSAModule(Block):
    """One-shot aggregation: 3x3 convolutions in a row, concatenated once.

    ``(B, in_channels, H, W) -> (B, out_channels, H, W)``. The input is concatenated
    too; with `identity` it is also added to the output, with no activation after it.
    Depthwise convolutions keep their width: `reduce` narrows a wider input for them.
    With `bottleneck` a 1x1 convolution of half the width stands before every 3x3.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        num_convs: int,
        depthwise: bool,
        identity: bool,
        ese: bool,
        bottleneck: bool,
        with_cp: bool,
        layers: dict,
    ) -> None:
        super().__init__(with_cp)
        self.identity = identity
        self.reduce, width = None, in_channels
        if depthwise and in_channels != mid_channels:
            self.reduce = conv_norm_act(in_channels, mid_channels, **layers)
            width = mid_channels
        self.convs = nn.ModuleList()
        for _ in range(num_convs):
            if bottleneck:
                conv = bottleneck_conv3x3(width, mid_channels, layers)
            else:
                conv = conv3x3(width, mid_channels, 1, depthwise, layers)
            self.convs.append(conv)
            width = mid_channels
        concatenated = in_channels + num_convs * mid_channels
        self.aggregate = conv_norm_act(concatenated, out_channels, **layers)
        self.ese = EffectiveSE(out_channels) if ese else None

    def _forward(self, x: Tensor) -> Tensor:
        features = [x]
        y = x if self.reduce is None else self.reduce(x)
        for conv in self.convs:
            y = conv(y)
            features.append(y)
        y = self.aggregate(torch.cat(features, dim=1))
        if self.ese is not None:
            y = self.ese(y)
        return y + x if self.identity else y


@MODELS.register_module()
class VoVNet(Backbone):
    """VoVNet v1 and v2 backbone, or ImageNet classifier when `num_classes` is given.

    The public sources disagree, and weights of one form do not fit another:

    - ``form='pytorch'``: the authors' PyTorch code. The third stem convolution has
      stride 2; modules 2.. of a stage have the identity (v1 and v2); every v2 module
      has eSE. The default, because the released ImageNet weights, Mask R-CNN from
      scratch (v1 Table 5) and all of v2 use it, at fewer MACs (39: 7.07 G, not 7.76 G).
    - ``form='caffe'`` (v1 only): the paper's Table 1 and the detectors of Tables 2-4.
      A 3x3/2 max pool in the first stage in place of the stem stride; no identity.
    - ``form='timm'``: as 'pytorch', but v1 has no identity and v2 has eSE only in the
      last module of each stage.

    Shapes and errors as in `Backbone`. ``stages[0]`` to ``stages[3]`` are the paper's
    stages 2 to 5. Max pools have no padding and round up, as in Caffe: 300 pixels give
    maps of 75, 37, 18 and 9.

    Args:
        arch: A key of `ARCHS`; 39 and 57 may be ints.
        form: 'pytorch', 'caffe' or 'timm', see above.
        bottleneck: The ablation of v1's Table 3: a 1x1 convolution of half the width
            before each 3x3 of a module. In the paper slower on a GPU, and less accurate.
        in_channels: Channels of the image.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        with_cp: Checkpoint every OSA module: less memory, more time. As elsewhere in
            mmdet, BatchNorm then averages each batch into its statistics twice.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.
    """

    def __init__(
        self,
        arch: str | int,
        form: str = 'pytorch',
        bottleneck: bool = False,
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
        forms = ('pytorch', 'timm') if spec.v2 else ('pytorch', 'caffe', 'timm')
        if form not in forms:
            raise ValueError(f'form={form!r}: {arch!r} exists as {", ".join(forms)}')
        if bottleneck and spec.depthwise:
            raise ValueError(
                f'bottleneck=True: the 3x3 of {arch!r} are depthwise; expected an arch '
                'with dense ones'
            )
        super().__init__(
            spec.out, out_indices, frozen_stages, norm_eval, num_classes, init_cfg
        )
        self.form = form
        self.same_in_pytorch_and_timm = spec.num_modules == ONE and form != 'caffe'
        norm_cfg, act_cfg = norm_cfg or {'type': 'BN'}, act_cfg or {'type': 'ReLU'}
        layers = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        c1, c2, c3 = spec.stem
        self.stem = nn.Sequential(
            conv3x3(in_channels, c1, 2, False, layers),
            conv3x3(c1, c2, 1, spec.depthwise, layers),
            conv3x3(c2, c3, 1 if form == 'caffe' else 2, spec.depthwise, layers),
        )
        self.stages = nn.ModuleList(
            _build_stage(
                i, spec, form, bottleneck=bottleneck, with_cp=with_cp, layers=layers
            )
            for i in range(self.num_stages)
        )
        self.head = linear_head(spec.out[-1], num_classes)
        self.freeze()


def _build_stage(index: int, spec: VoVNetArch, form: str, **common) -> nn.Sequential:
    """The paper's stage ``index + 2``: a max pool where the stride changes, modules."""
    stage = OrderedDict()
    if index > 0 or form == 'caffe':
        stage['pool'] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    width, out = (spec.stem[-1], *spec.out)[index : index + 2]
    shape = (spec.mid[index], out, spec.num_convs, spec.depthwise)
    last = spec.num_modules[index]
    for k in range(1, last + 1):
        identity = k > 1 and (spec.v2 or form == 'pytorch')
        ese = spec.v2 and (k == last or form == 'pytorch')
        stage[f'osa{k}'] = OSAModule(width, *shape, identity, ese, **common)
        width = out
    return nn.Sequential(stage)
