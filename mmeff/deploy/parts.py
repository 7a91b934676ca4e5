"""The networks in a detector, apart from the code between them.

A detector of mmdet is a few networks, from tensors to tensors, and Python between them
that selects, decodes and suppresses boxes::

    single stage   images -> [backbone, neck, head] -> boxes
    two stages     images -> [backbone, neck, RPN head] -> proposals
                          -> [box head of each stage] -> boxes -> [mask head] -> masks

`split` finds the networks as `Part`s; whatever runs a part faster is put in its place by
`Part.install`, and the rest of the detector goes on as before.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from mmeff.errors import UserError

Run = Callable[..., tuple[Tensor, ...]]
IMAGES = {0: 'batch', 2: 'height', 3: 'width'}  # axes that may vary, by their names
ROIS = {0: 'rois'}
EXAMPLE_ROIS = 8


@dataclass(frozen=True)
class Part:
    """One network of a detector.

    Attributes:
        name: 'network' or 'features' for images, else the path of the module.
        module: Takes one tensor, returns a tuple of tensors.
        example: An input of the size that is expected.
        dynamic: Names of the input's axes that may vary.
        install: Puts a function in the module's place; it takes and returns the same.
    """

    name: str
    module: nn.Module
    example: Tensor
    dynamic: dict[int, str]
    install: Callable[[Run], None]

    @property
    def on_rois(self) -> bool:
        """Whether it belongs to a second stage, whose inputs always vary in number."""
        return self.dynamic is ROIS


class Features(tuple):
    """Feature maps, together with what the dense head said of them."""

    outputs: object = None


def split(model: nn.Module, images: Tensor) -> list[Part]:
    """Find the networks of a detector.

    Args:
        model: A detector in eval mode.
        images: A batch as the data preprocessor gives it, ``(B, 3, H, W)``.

    Raises:
        UserError: The detector is of a kind that has no such parts.
    """
    kind = type(model)
    if isinstance(model, TwoStageDetector):
        _expect(model, kind, TwoStageDetector, model.rpn_head)
        heads = _roi_parts(model.roi_head)
        return [_dense_part(model, model.rpn_head, images, with_features=True), *heads]
    if isinstance(model, SingleStageDetector):
        _expect(model, kind, SingleStageDetector, model.bbox_head)
        return [_dense_part(model, model.bbox_head, images, with_features=False)]
    raise UserError(
        f'{kind.__name__} cannot be split into networks: expected a single-stage or '
        "two-stage detector. Leave out the backend: mmdet's own way runs it"
    )


def _expect(model: nn.Module, kind: type, base: type, head: nn.Module) -> None:
    """Refuse detectors that do more between their networks than their base class."""
    own = [
        f'{owner.__name__}.{name}'
        for owner, parent, names in (
            (kind, base, ('extract_feat', 'predict')),
            (type(head), BaseDenseHead, ('predict',)),
        )
        for name in names
        if getattr(owner, name) is not getattr(parent, name, None)
    ]
    if own:
        raise UserError(
            f'{kind.__name__} cannot be split into networks, for it has its own '
            f"{', '.join(own)}. Leave out the backend: mmdet's own way runs it"
        )


class _DenseNetwork(nn.Module):
    """Images to the outputs of a dense head, and the feature maps if asked for."""

    def __init__(self, model: nn.Module, head: nn.Module, with_features: bool) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = copy.copy(head)  # `install` gives the other one a new forward
        self.with_features = with_features

    def nested(self, images: Tensor) -> tuple:
        """Feature maps, and the outputs of the head as it nests them."""
        features = self.neck(self.backbone(images))
        outputs = self.head(features)
        return tuple(features) if self.with_features else (), outputs

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(tree_flatten(self.nested(images))[0])


class _Head(nn.Module):
    """A head of the second stage, with its outputs in a flat tuple."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = copy.copy(head)

    def forward(self, rois: Tensor) -> tuple[Tensor, ...]:
        return tuple(tree_flatten(self.head(rois))[0])


@torch.no_grad()
def _dense_part(
    model: nn.Module, head: nn.Module, images: Tensor, with_features: bool
) -> Part:
    network = _DenseNetwork(model, head, with_features)
    nesting = tree_flatten(network.nested(images))[1]

    def install(run: Run) -> None:
        def extract_feat(images: Tensor) -> Features:
            maps, outputs = tree_unflatten(run(images), nesting)
            features = Features(maps)
            features.outputs = outputs
            return features

        model.extract_feat = extract_feat
        model.backbone = nn.Identity()
        if model.with_neck:
            model.neck = nn.Identity()
        head.forward = lambda features: features.outputs

    name = 'features' if with_features else 'network'
    return Part(name, network, images, IMAGES, install)


def _roi_parts(roi_head: nn.Module) -> list[Part]:
    if not isinstance(roi_head, StandardRoIHead | CascadeRoIHead):
        raise UserError(
            f'{type(roi_head).__name__} cannot be split into networks: expected '
            "StandardRoIHead or CascadeRoIHead. Leave out the backend: mmdet's own way "
            'runs it'
        )
    parts = []
    for name in ('shared_head', 'bbox_head', 'mask_head'):
        found = getattr(roi_head, name, None)
        if found is None:
            continue
        extractor = roi_head.bbox_roi_extractor
        if name == 'mask_head' and not roi_head.share_roi_extractor:
            extractor = roi_head.mask_roi_extractor
        heads = found if isinstance(found, nn.ModuleList) else [found]
        for index, head in enumerate(heads):
            path = f'roi_head.{name}' + f'.{index}' * isinstance(found, nn.ModuleList)
            stage = extractor
            if isinstance(extractor, nn.ModuleList):
                stage = extractor[index]
            parts.append(_roi_part(path, head, _example_rois(roi_head, name, stage)))
    return parts


@torch.no_grad()
def _example_rois(roi_head: nn.Module, name: str, extractor: nn.Module) -> Tensor:
    """Random features as the extractor and, if there is one, the shared head give them."""
    size = extractor.roi_layers[0].output_size
    device = next(roi_head.parameters()).device
    shape = (EXAMPLE_ROIS, extractor.out_channels, *size)
    rois = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    if roi_head.with_shared_head and name != 'shared_head':
        rois = roi_head.shared_head(rois)
    return rois


@torch.no_grad()
def _roi_part(path: str, head: nn.Module, example: Tensor) -> Part:
    nesting = tree_flatten(head(example))[1]

    def install(run: Run) -> None:
        head.forward = lambda rois: tree_unflatten(run(rois), nesting)

    return Part(path, _Head(head), example, ROIS, install)
