"""EfficientNet: MBConv networks scaled in depth, width and resolution at once.

https://arxiv.org/abs/1905.11946, Table 1 for B0; EfficientNet-Lite is the authors' later
variant for devices without fast squeeze-and-excitation and swish::

    image -> 3x3/2, row 1 -> row 2 -> row 3 -> rows 4, 5 -> rows 6, 7 -> 1x1
    stride        2            4        8          16           32        32
    channels     16           24       40         112          320      1280   (B0)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mmeff.models.backbones.base import find_arch
from mmeff.models.backbones.inverted_residual_net import BlockSpec, InvertedResidualNet
from mmeff.models.backbones.scaling import round_filters, round_repeats
from mmeff.models.layers import SqueezeExcite, linear_head
from mmeff.models.layers.conv import SAME_PADDING, activation
from mmeff.registry import MODELS


@dataclass(frozen=True)
class EfficientNetArch:
    """How a variant differs from B0."""

    width: float
    depth: float
    resolution: int  # side in pixels of the images it was made for
    dropout: float
    lite: bool = False


ARCHS = {
    'b0': EfficientNetArch(1.0, 1.0, 224, 0.2),
    'b1': EfficientNetArch(1.0, 1.1, 240, 0.2),
    'b2': EfficientNetArch(1.1, 1.2, 260, 0.3),
    'b3': EfficientNetArch(1.2, 1.4, 300, 0.3),
    'b4': EfficientNetArch(1.4, 1.8, 380, 0.4),
    'b5': EfficientNetArch(1.6, 2.2, 456, 0.4),
    'b6': EfficientNetArch(1.8, 2.6, 528, 0.5),
    'b7': EfficientNetArch(2.0, 3.1, 600, 0.5),
    'lite0': EfficientNetArch(1.0, 1.0, 224, 0.2, lite=True),
    'lite1': EfficientNetArch(1.0, 1.1, 240, 0.2, lite=True),
    'lite2': EfficientNetArch(1.1, 1.2, 260, 0.3, lite=True),
    'lite3': EfficientNetArch(1.2, 1.4, 280, 0.3, lite=True),
    'lite4': EfficientNetArch(1.4, 1.8, 300, 0.3, lite=True),
}
STEM, FINAL = 32, 1280
# Of B0: expansion, kernel size, stride of the first, output channels, repeats.
ROWS = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
# Padding of the convolutions and arguments of their BatchNorms.
FORMS = {
    'torch': (None, {}),
    'tf': (SAME_PADDING, {'eps': 1e-3, 'momentum': 0.01}),
}


@MODELS.register_module()
class EfficientNet(InvertedResidualNet):
    """EfficientNet backbone, or ImageNet classifier when `num_classes` is given.

    Published weights are for one of two forms, and wrong in the other:

    - ``form='torch'``: symmetric padding. Weights of torchvision, and those of timm
      whose names begin with ``efficientnet_``. torchvision's B5 to B7 also want
      ``norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01)``.
    - ``form='tf'``: as in the authors' TensorFlow code strided convolutions pad more at
      the bottom and right ('same'), and BatchNorm has eps 1e-3 and momentum 0.01.
      Weights converted from it: timm's ``tf_efficientnet_*``, efficientnet_pytorch,
      efficientnet_lite_pytorch.

    Shapes and errors as in `Backbone`; ``stages[4]`` is the last 1x1 convolution.

    Args:
        arch: A key of `ARCHS`. Lite: no squeeze-and-excitation, ReLU6, and stem, last
            convolution and the repeats of the first and last row as in B0.
        form: 'torch' or 'tf', see above.
        widen_factor, depth_factor: Scale the variant further, see `compound_scaling`.
        in_channels: Channels of the image.
        conv_cfg: Convolutions, Conv2d by default; form 'tf' has its own.
        norm_cfg: BN by default. A BatchNorm of any kind has the form's eps and momentum
            unless this says otherwise.
        act_cfg: By default SiLU (swish), Lite: ReLU6.
        with_cp: Checkpoint every block: less memory, more time.
        drop_path_rate: Chance that the last block is skipped in training, with earlier
            ones less often (the authors' drop connect).
        dropout: Before the classifier; by default the variant's.
        out_indices, frozen_stages, norm_eval, num_classes, init_cfg: See `Backbone`.

    Attributes:
        resolution: Side in pixels of the images that the variant was made for.
    """

    def __init__(
        self,
        arch: str = 'b0',
        form: str = 'torch',
        widen_factor: float = 1.0,
        depth_factor: float = 1.0,
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        drop_path_rate: float = 0.2,
        dropout: float | None = None,
        num_classes: int = 0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        spec = find_arch(ARCHS, arch)
        conv_cfg, norm_cfg = _layers(form, conv_cfg, norm_cfg)
        act_cfg = act_cfg or {'type': 'ReLU6' if spec.lite else 'SiLU'}
        width, depth = spec.width * widen_factor, spec.depth * depth_factor
        final = FINAL if spec.lite else round_filters(FINAL, width)
        super().__init__(
            _blocks(width, depth, spec.lite),
            final,
            in_channels=in_channels,
            stem_act=act_cfg,
            final_act=act_cfg,
            excite=lambda block: _excite(block, act_cfg),
            expansion_taps=(),
            drop_path_rate=drop_path_rate,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            with_cp=with_cp,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            num_classes=num_classes,
            init_cfg=init_cfg,
        )
        self.arch, self.form, self.resolution = arch, form, spec.resolution
        dropout = spec.dropout if dropout is None else dropout
        self.head = linear_head(final, num_classes, dropout)
        self.freeze()


def _layers(form: str, conv_cfg: dict | None, norm_cfg: dict | None) -> tuple:
    same_padding, norm = find_arch(FORMS, form, 'form')
    if same_padding and conv_cfg:
        raise ValueError(
            f"conv_cfg={conv_cfg}: form='tf' pads by {same_padding}; leave conv_cfg out"
        )
    norm_cfg = norm_cfg or {'type': 'BN'}
    if 'BN' in norm_cfg['type']:
        norm_cfg = {**norm, **norm_cfg}
    return same_padding or conv_cfg, norm_cfg


def _blocks(width: float, depth: float, lite: bool) -> list[BlockSpec]:
    blocks = []
    channels = STEM if lite else round_filters(STEM, width)
    for row in ROWS:
        expansion, kernel_size, stride, filters, repeats = row
        out = round_filters(filters, width)
        if not (lite and row in (ROWS[0], ROWS[-1])):
            repeats = round_repeats(repeats, depth)
        for i in range(repeats):
            hidden, step = channels * expansion, stride if i == 0 else 1
            # A quarter of the block's input, not of the expanded map that it gates.
            reduced = 0 if lite else max(1, int(channels * 0.25))
            blocks.append(BlockSpec(channels, hidden, out, kernel_size, step, reduced))
            channels = out
    return blocks


def _excite(block: BlockSpec, act_cfg: dict) -> SqueezeExcite:
    return SqueezeExcite(block.hidden, block.reduced, activation(act_cfg), nn.Sigmoid())
