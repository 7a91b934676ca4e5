"""What all backbones have in common: numbered stages, freezing, a head, weights.

Every family is a stem and a list of stages, numbered alike, so that backbones can be
exchanged in a config without touching `out_indices`::

    image -> stem -> stages[0] -> stages[1] -> stages[2] -> stages[3] -> stages[4]
    stride              4            8            16           32           32

``stages[4]`` is the last 1x1 convolution of those families that have one. The output of
a stage is its last map, after the activation, unless the family says otherwise.
"""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmengine.model.weight_init import update_init_info
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.models.layers import Block

STRIDES = (4, 8, 16, 32, 32)
DEFAULT_INIT_CFG = [
    {'type': 'Kaiming', 'layer': 'Conv2d'},
    {'type': 'Normal', 'std': 0.01, 'layer': 'Linear'},
    {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
]


class Backbone(BaseModule):
    """Base of the backbones. A subclass calls `__init__` with the channels that its
    stages put out, sets `stem`, `stages` (the first `num_stages` of them) and `head`
    (None without classes), and calls `freeze`.

    Input ``(B, in_channels, H, W)``, sides of 32 pixels or more; output a tuple of
    ``(B, out_channels[i], ~H / out_strides[i], ~W / out_strides[i])``, or logits
    ``(B, num_classes)`` when there is a head.

    Args:
        channels: What each stage puts out.
        out_indices: Stages to return, increasing. Later ones are not built, so that DDP
            sees no unused parameter.
        frozen_stages: -1 freezes nothing, 0 the stem, k the stem and the first k stages:
            no gradients, norm layers in eval mode.
        norm_eval: Keep all BatchNorm layers in eval mode during training.
        num_classes: If not 0, the network is a classifier and has all its stages.
        init_cfg: Initialisation, by default He-normal convolutions and unit norms.
            ``dict(type='Pretrained', checkpoint=..., prefix=None, strict=True)`` takes
            files in the layouts of the authors, timm and torchvision as they are, see
            `load_backbone_weights`.

    Attributes:
        out_channels, out_strides: Tuples, one number for each of `out_indices`.
        stage_channels: Of all stages that the network can have.

    Raises:
        ValueError: `out_indices` or `frozen_stages` name no stage.
    """

    stem: nn.Module
    stages: nn.ModuleList
    head: nn.Module | None

    def __init__(
        self,
        channels: Sequence[int],
        out_indices: Sequence[int],
        frozen_stages: int,
        norm_eval: bool,
        num_classes: int,
        init_cfg: dict | list[dict] | None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT_CFG)
        _check_out_indices(channels, out_indices)
        self.stage_channels = tuple(channels)
        self.out_indices = tuple(out_indices)
        self.out_channels = tuple(channels[i] for i in out_indices)
        self.out_strides = tuple(STRIDES[i] for i in out_indices)
        self.num_stages = len(channels) if num_classes else max(out_indices) + 1
        if frozen_stages not in range(-1, self.num_stages + 1):
            raise ValueError(
                f'frozen_stages={frozen_stages}: expected -1 to {self.num_stages}, the '
                f'number of stages that out_indices={self.out_indices} needs'
            )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

    def forward(self, x: Tensor) -> tuple[Tensor, ...] | Tensor:
        x = self.stem(x)
        outputs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs) if self.head is None else self.head(x)

    def init_weights(self) -> None:
        """Initialise as `init_cfg` says; foreign weights are fitted or refused.

        Raises:
            UserError: The weights do not fill the whole backbone.
        """
        cfg = self.init_cfg
        if not isinstance(cfg, dict) or cfg['type'] != 'Pretrained':
            super().init_weights()
            return
        kwargs = {key: value for key, value in cfg.items() if key != 'type'}
        summary = load_backbone_weights(self, **kwargs)
        if hasattr(self, '_params_init_info'):
            update_init_info(self, init_info=summary)
        self._is_init = True

    def block_names(self) -> list[str]:
        """Names of the blocks in the order in which they run."""
        return [name for name, part in self.named_modules() if isinstance(part, Block)]

    def train(self, mode: bool = True) -> 'Backbone':
        super().train(mode)
        self.freeze()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def freeze(self) -> None:
        """Take what `frozen_stages` names out of training."""
        for module in [self.stem, *self.stages][: self.frozen_stages + 1]:
            module.eval()
            module.requires_grad_(False)


def find_arch(archs: dict, arch, name: str = 'arch'):
    """Entry of a table of variants.

    Raises:
        ValueError: There is none of this name; lists those that there are.
    """
    if arch not in archs:
        known = ', '.join(map(str, archs))
        raise ValueError(f'{name}={arch!r}: expected one of {known}')
    return archs[arch]


def split_stages(blocks: Sequence) -> list[list]:
    """Group blocks by the stride of their output: the stem's (2), then each stage's.

    Args:
        blocks: Anything with an attribute `stride`, 1 or 2, after a stem of stride 2.
    """
    groups = [[]]
    for block in blocks:
        if block.stride == 2:
            groups.append([])
        groups[-1].append(block)
    return groups


def _check_out_indices(channels: Sequence[int], out_indices: Sequence[int]) -> None:
    indices = list(out_indices)
    known = range(len(channels))
    if not indices or indices != sorted(set(known).intersection(indices)):
        raise ValueError(
            f'out_indices={tuple(indices)}: expected increasing indices out of '
            f'{", ".join(map(str, known))} with strides {STRIDES[: len(channels)]} and '
            f'channels {tuple(channels)}'
        )
