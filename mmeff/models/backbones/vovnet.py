"""VoVNet: backbones of one-shot aggregation (OSA) modules.

- v1: https://arxiv.org/abs/1904.09730, section 3.3 and Table 1.
- v2: https://arxiv.org/abs/1911.06667 (CenterMask): adds identity mapping and eSE.

A network is a stem of three 3x3 convolutions and stages 2 to 5 of OSA modules::

    image -> stem -> stage2 -> pool, stage3 -> pool, stage4 -> pool, stage5
    stride            4              8               16              32
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmeff.registry import MODELS

STRIDES = (4, 8, 16, 32)
DEFAULT_INIT_CFG = [
    {'type': 'Kaiming', 'layer': 'Conv2d'},
    {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
]


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
        return ConvModule(in_channels, out_channels, 3, stride, padding=1, **layers)
    # As in the authors' code nothing stands between depthwise and pointwise.
    bare = {'bias': False, 'dw_norm_cfg': None, 'dw_act_cfg': None}
    return DepthwiseSeparableConvModule(
        in_channels, out_channels, 3, stride, padding=1, **bare, **layers
    )


class EffectiveSE(nn.Module):
    """Channel attention (eSE); a hard sigmoid as in the authors' code, not a sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class OSAModule(nn.Module):
    """One-shot aggregation: 3x3 convolutions in a row, concatenated once.

    ``(B, in_channels, H, W) -> (B, out_channels, H, W)``. The input is concatenated
    too; with `identity` it is also added to the output, with no activation after it.
    Depthwise convolutions keep their width: `reduce` narrows a wider input for them.
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
        with_cp: bool,
        layers: dict,
    ) -> None:
        super().__init__()
        self.identity = identity
        self.with_cp = with_cp
        self.reduce, width = None, in_channels
        if depthwise and in_channels != mid_channels:
            self.reduce = ConvModule(in_channels, mid_channels, 1, **layers)
            width = mid_channels
        self.convs = nn.ModuleList()
        for _ in range(num_convs):
            self.convs.append(conv3x3(width, mid_channels, 1, depthwise, layers))
            width = mid_channels
        concatenated = in_channels + num_convs * mid_channels
        self.aggregate = ConvModule(concatenated, out_channels, 1, **layers)
        self.ese = EffectiveSE(out_channels) if ese else None

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and self.training:
            return checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

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
class VoVNet(BaseModule):
    """VoVNet v1 and v2 backbone, or ImageNet classifier when `num_classes` is given.

    The public sources disagree, and weights of one form do not fit another:

    - ``form='pytorch'``: the authors' PyTorch code. The third stem convolution has
      stride 2; modules 2.. of a stage have the identity (v1 and v2); every v2 module
      has eSE. The default, because the released ImageNet weights, Mask R-CNN from
      scratch (v1 Table 5) and all of v2 use it, at fewer MACs (39: 7.07 G, not 7.76 G).
    - ``form='caffe'`` (v1 only): the paper's Table 1 and the detectors of Tables 2-4.
      A 3x3/2 max pool in stage 2 in place of the stem stride; no identity.
    - ``form='timm'``: as 'pytorch', but v1 has no identity and v2 has eSE only in the
      last module of each stage.

    Input ``(B, in_channels, H, W)``, sides of 32 pixels or more; output a tuple of
    ``(B, out_channels[i], ~H / out_strides[i], ~W / out_strides[i])`` (attributes), or
    logits ``(B, num_classes)``. Max pools have no padding and round up, as in Caffe:
    300 pixels give maps of 75, 37, 18 and 9. ValueError is raised for arguments outside
    the values below and for a GroupNorm that does not divide the widths.

    Args:
        arch: A key of `ARCHS`; 39 and 57 may be ints.
        form: 'pytorch', 'caffe' or 'timm', see above.
        in_channels: Channels of the image.
        out_indices: Stages to return, increasing: 0 to 3 are stages 2 to 5 with strides
            4, 8, 16, 32. Later stages are not built: DDP sees no unused parameter.
        frozen_stages: -1 freezes nothing, 0 the stem, k the stem and the first k stages:
            no gradients, norm layers in eval mode.
        conv_cfg, norm_cfg, act_cfg: Layers; Conv2d, BN and ReLU by default.
        norm_eval: Keep all BatchNorm layers in eval mode during training.
        with_cp: Checkpoint every OSA module: less memory, more time. As elsewhere in
            mmdet, BatchNorm then averages each batch into its statistics twice.
        num_classes: If not 0, add global average pooling and a linear classifier.
        init_cfg: Initialisation, by default He-normal convolutions and unit norms.
    """

    def __init__(
        self,
        arch: str | int,
        form: str = 'pytorch',
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
        super().__init__(init_cfg or DEFAULT_INIT_CFG)
        spec = _find_arch(str(arch), form)
        _check_stages(spec, out_indices, frozen_stages, num_classes)
        norm_cfg, act_cfg = norm_cfg or {'type': 'BN'}, act_cfg or {'type': 'ReLU'}
        layers = {'conv_cfg': conv_cfg, 'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        self.out_indices = tuple(out_indices)
        self.out_channels = tuple(spec.out[i] for i in out_indices)
        self.out_strides = tuple(STRIDES[i] for i in out_indices)
        self.num_stages = max(out_indices) + 1
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        _check_group_norm(spec, norm_cfg, self.num_stages)

        c1, c2, c3 = spec.stem
        self.stem = nn.Sequential(
            conv3x3(in_channels, c1, 2, False, layers),
            conv3x3(c1, c2, 1, spec.depthwise, layers),
            conv3x3(c2, c3, 1 if form == 'caffe' else 2, spec.depthwise, layers),
        )
        for i in range(self.num_stages):
            stage = _build_stage(i, spec, form, with_cp=with_cp, layers=layers)
            self.add_module(f'stage{i + 2}', stage)
        self.classifier = nn.Linear(spec.out[-1], num_classes) if num_classes else None
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...] | Tensor:
        x = self.stem(x)
        outputs = []
        for i, stage in enumerate(self._stages()):
            x = stage(x)
            if i in self.out_indices:
                outputs.append(x)
        if self.classifier is not None:
            return self.classifier(x.mean((2, 3)))
        return tuple(outputs)

    def train(self, mode: bool = True) -> 'VoVNet':
        super().train(mode)
        self._freeze_stages()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _stages(self) -> list[nn.Module]:
        return [getattr(self, f'stage{i + 2}') for i in range(self.num_stages)]

    def _freeze_stages(self) -> None:
        for module in [self.stem, *self._stages()][: self.frozen_stages + 1]:
            module.eval()
            module.requires_grad_(False)


def _build_stage(index: int, spec: VoVNetArch, form: str, **common) -> nn.Sequential:
    """Stage ``index + 2``: a max pool where the stride changes, then OSA modules."""
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


def _find_arch(arch: str, form: str) -> VoVNetArch:
    if arch not in ARCHS:
        raise ValueError(f'arch={arch!r}: expected one of {", ".join(ARCHS)}')
    forms = ('pytorch', 'timm') if ARCHS[arch].v2 else ('pytorch', 'caffe', 'timm')
    if form not in forms:
        raise ValueError(f'form={form!r}: {arch!r} exists as {", ".join(forms)}')
    return ARCHS[arch]


def _check_stages(
    spec: VoVNetArch, out_indices: Sequence[int], frozen_stages: int, num_classes: int
) -> None:
    indices = list(out_indices)
    increasing = sorted({0, 1, 2, 3}.intersection(indices))
    if not indices or indices != increasing or (num_classes and 3 not in indices):
        raise ValueError(
            f'out_indices={tuple(indices)}: expected increasing indices out of 0, 1, 2, '
            f'3 with strides {STRIDES} and channels {spec.out}; a classifier needs 3'
        )
    if frozen_stages not in range(-1, indices[-1] + 2):
        raise ValueError(
            f'frozen_stages={frozen_stages}: expected -1 to {indices[-1] + 1}, the last '
            f'stage that out_indices={tuple(indices)} needs'
        )


def _check_group_norm(spec: VoVNetArch, norm_cfg: dict, num_stages: int) -> None:
    if norm_cfg['type'] not in ('GN', nn.GroupNorm):
        return
    widths = {*spec.stem, *spec.mid[:num_stages], *spec.out[:num_stages]}
    if bad := sorted(width for width in widths if width % norm_cfg['num_groups']):
        raise ValueError(
            f'norm_cfg={norm_cfg}: num_groups does not divide the widths {bad} of this '
            f'arch; num_groups={math.gcd(*widths)} divides all of them'
        )
