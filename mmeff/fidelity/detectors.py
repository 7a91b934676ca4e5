"""One line of the report on detectors: what a config builds, counted part by part.

Counted is the region `forward`: backbone, neck and heads on one square image, without
decoding and NMS. A second stage works on as many proposals as its config keeps
(`test_cfg.rpn.max_per_img`), its mask head on as many boxes as the config lets through
(`test_cfg.rcnn.max_per_img`): what a random network proposes says nothing.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmeff.fidelity.check import agrees
from mmeff.profiling.counts import count_params
from mmeff.registry import MODELS


@dataclass(frozen=True)
class DetectorRow:
    """A detector with what is known of it.

    Attributes:
        name: What readers call it.
        config: File under configs/.
        params: Parameters, exact.
        macs: Multiply-accumulates of one image, as a decimal number with unit: '32.63G'.
        size: Side of that image in pixels.
        num_classes: Put into all heads in place of the config's.
        published: Parameters and multiply-adds as the source prints them; None where
            it prints none.
        parts: Parameters and MACs of submodules by their path, such as 'neck'. Without
            it the shares of the detector's children are measured and not checked.
        note: What a reader should know, such as the published accuracy.
        options: Settings that differ from the config, with dotted keys.
    """

    name: str
    config: str
    params: int
    macs: str
    size: int
    num_classes: int | None = None
    published: tuple[str | None, str | None] = (None, None)
    parts: dict[str, tuple[int, str]] = field(default_factory=dict)
    note: str = ''
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class DetectorResult:
    """What was measured of a row; `parts` are parameters and MACs by path."""

    row: DetectorRow
    params: int
    macs: int
    parts: dict[str, tuple[int, int]]

    @property
    def counts_agree(self) -> bool:
        return (
            self.params == self.row.params
            and agrees(self.macs, self.row.macs)
            and all(
                self.parts[path][0] == params and agrees(self.parts[path][1], macs)
                for path, (params, macs) in self.row.parts.items()
            )
        )


def check_detector(row: DetectorRow, cfg: Config) -> DetectorResult:
    """Build the detector of a row and count it; no memory is allocated.

    Args:
        row: What is expected.
        cfg: Its config, with the row's options.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    settings = cfg.model.copy()
    if row.num_classes is not None:
        _set_num_classes(settings, row.num_classes)
    with torch.device('meta'):
        model = MODELS.build(settings).eval()
        image = torch.empty(1, 3, row.size, row.size)
    paths = list(row.parts or _children(model))
    total, macs = _count_macs(model, paths, lambda: _forward(model, image))
    parts = {
        path: (count_params(model.get_submodule(path)).total, macs[path])
        for path in paths
    }
    return DetectorResult(row, count_params(model).total, total, parts)


def _set_num_classes(settings: dict, num_classes: int) -> None:
    for key, value in settings.items():
        if key == 'num_classes':
            settings[key] = num_classes
        elif isinstance(value, dict):
            _set_num_classes(value, num_classes)


def _children(model: nn.Module) -> list[str]:
    """Paths of the detector's parts that have parameters; RoI heads one by one."""
    paths = []
    for name, child in model.named_children():
        if name == 'roi_head':
            paths += [f'{name}.{head}' for head, _ in child.named_children()]
        else:
            paths.append(name)
    return [path for path in paths if count_params(model.get_submodule(path)).total]


def _forward(model: nn.Module, image: Tensor) -> None:
    """Run backbone, neck and heads; a second stage on empty features of RoIs."""
    if not getattr(model, 'with_rpn', False):
        model(image, mode='tensor')
        return
    model.rpn_head(model.extract_feat(image))
    second, keep = model.roi_head, model.test_cfg
    stages = [(second.bbox_head, second.bbox_roi_extractor, keep.rpn)]
    if second.with_mask:
        stages.append((second.mask_head, second.mask_roi_extractor, keep.rcnn))
    for head, extractor, limits in stages:
        size = extractor.roi_layers[0].output_size
        shape = (limits.max_per_img, extractor.out_channels, *size)
        head(torch.empty(shape, device=image.device))


def _count_macs(
    model: nn.Module, paths: Sequence[str], run: Callable[[], None]
) -> tuple[int, Counter]:
    """MACs of a run, and those of them that the layers below each path did.

    Layers are watched, not the parts: mmdet calls `head.forward`, which runs no hooks.
    """
    flops, macs, handles = FlopCounterMode(display=False), Counter(), []
    for path in paths:
        for layer in model.get_submodule(path).modules():
            if next(layer.children(), None) is not None:
                continue
            before = []  # of the call in progress

            def enter(*_, before=before):
                before.append(flops.get_total_flops())

            def leave(*_, before=before, path=path):
                macs[path] += (flops.get_total_flops() - before.pop()) // 2

            handles.append(layer.register_forward_pre_hook(enter))
            handles.append(layer.register_forward_hook(leave))
    try:
        with torch.no_grad(), flops:
            run()
    finally:
        for handle in handles:
            handle.remove()
    return flops.get_total_flops() // 2, macs
