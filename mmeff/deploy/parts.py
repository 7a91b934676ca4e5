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
# The methods between networks; those of the base classes give them all their inputs.
DETECTOR_METHODS = ('extract_feat', 'predict')
DENSE_HEAD_METHODS = ('predict',)
ROI_HEAD_METHODS = (
    'predict',
    'predict_bbox',
    'predict_mask',
    '_bbox_forward',
    '_mask_forward',
)


@dataclass(frozen=True)
class Part:
    """One network of a detector.

    Attributes:
        name: 'network' or 'features' for images, else the path of the module.
        module: Takes one tensor, returns a tuple of tensors.
        example: An input of the size that is expected.
        dynamic: Names of the input's axes that may vary.
        install: Puts a function in the module's place; it takes and returns the same.
        onnx: The part as an ONNX file that was exported before, if there is one.
    """

    name: str
    module: nn.Module
    example: Tensor
    dynamic: dict[int, str]
    install: Callable[[Run], None]
    onnx: bytes | None = None

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
    if isinstance(model, TwoStageDetector):
        _check_two_stages(model)
        dense = _dense_part(model, model.rpn_head, images, with_features=True)
        return [dense, *_roi_parts(model.roi_head)]
    if isinstance(model, SingleStageDetector):
        _check_methods(
            model,
            (model, SingleStageDetector, DETECTOR_METHODS),
            (model.bbox_head, BaseDenseHead, DENSE_HEAD_METHODS),
        )
        return [_dense_part(model, model.bbox_head, images, with_features=False)]
    raise _refusal(
        model, ": expected one of mmdet's SingleStageDetector or TwoStageDetector"
    )


def _refusal(model: nn.Module, reason: str) -> UserError:
    return UserError(
        f'{type(model).__name__} cannot be split into networks{reason}. Leave out the '
        "backend: mmdet's own way runs it"
    )


def _check_two_stages(model: nn.Module) -> None:
    if not model.with_rpn:
        raise _refusal(model, ', for it has no `rpn_head`')
    roi_head = model.roi_head
    bases = [b for b in (StandardRoIHead, CascadeRoIHead) if isinstance(roi_head, b)]
    if not bases:
        raise _refusal(
            model,
            f', for it has a {type(roi_head).__name__}: expected StandardRoIHead or '
            'CascadeRoIHead',
        )
    _check_methods(
        model,
        (model, TwoStageDetector, DETECTOR_METHODS),
        (model.rpn_head, BaseDenseHead, DENSE_HEAD_METHODS),
        (roi_head, bases[0], ROI_HEAD_METHODS),
    )


def _check_methods(
    model: nn.Module, *expected: tuple[nn.Module, type, tuple[str, ...]]
) -> None:
    """Refuse modules that do more between networks than the methods of their base."""
    own = [
        f'{type(module).__name__}.{name}'
        for module, base, names in expected
        for name in names
        if getattr(type(module), name) is not getattr(base, name, None)
    ]
    if own:
        raise _refusal(model, f', for it has its own {", ".join(own)}')


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
    outputs, nesting = tree_flatten(head(example))
    if not all(isinstance(output, Tensor) for output in outputs):
        raise UserError(
            f'{path}, a {type(head).__name__}, is no network that can be run apart: its '
            "outputs are not all tensors. Leave out the backend: mmdet's own way runs it"
        )

    def install(run: Run) -> None:
        head.forward = lambda rois: tree_unflatten(run(rois), nesting)

    return Part(path, _Head(head), example, ROIS, install)
