"""The adapter between mmdet's detectors and the measurements, which know torch only.

Two regions are measured:

- ``forward``: backbone, neck and heads on an input that is ready on the device,
  ``model(inputs, mode='tensor')``. Detectors with proposals also decode and select them.
- ``detect``: what a user waits for once an image is loaded and resized,
  ``model.test_step``: copy to the device, normalise, pad, network, decode, NMS, rescale.
"""

import copy
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from torch import nn

from mmeff.errors import UserError
from mmeff.profiling.precision import autocast, check_precision

MIN_SIDE = 32  # the stride of the deepest stage of nearly every backbone


class DetectorRegions:
    """The regions of one detector on one fixed batch.

    Args:
        model: A detector in eval mode, on its device.
        data: Batch as a test dataloader gives it, see `make_batch`.
        precision: A key of `mmeff.profiling.precision.PRECISIONS`.

    Raises:
        UserError: The device has no such precision.
    """

    def __init__(self, model: nn.Module, data: dict, precision: str = 'fp32') -> None:
        self.model = model
        self.data = data
        self.precision = precision
        self.device = next(model.parameters()).device
        check_precision(precision, self.device)
        ready = model.data_preprocessor(copy.deepcopy(data), False)
        self.inputs, self.samples = ready['inputs'], ready['data_samples']

    # Autocast is entered in each run, as it is in use: it caches converted weights.

    @torch.no_grad()
    def forward(self) -> object:
        """Run the region `forward`; returns the raw outputs of the heads."""
        with autocast(self.precision, self.device):
            return self.model(self.inputs, self.samples, mode='tensor')

    @torch.no_grad()
    def detect(self) -> list:
        """Run the region `detect`; returns one data sample per image."""
        with autocast(self.precision, self.device):
            return self.model.test_step(self.data)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the resized image."""
        return tuple(self.data['inputs'][0].shape[-2:])

    @property
    def input_shape(self) -> tuple[int, int]:
        """Height and width of what the network sees, after padding."""
        return tuple(self.inputs.shape[-2:])

    def boxes_per_img(self) -> float:
        """Boxes kept after NMS, which the time of `detect` depends on."""
        return float(np.mean([len(sample.pred_instances) for sample in self.detect()]))

    @torch.no_grad()
    def proposals_per_img(self) -> float | None:
        """Proposals that the second stage works on; None for a detector without them."""
        if not getattr(self.model, 'with_rpn', False):
            return None
        with autocast(self.precision, self.device):
            features = self.model.extract_feat(self.inputs)
            proposals = self.model.rpn_head.predict(
                features, self.samples, rescale=False
            )
        return float(np.mean([len(instances) for instances in proposals]))


def make_batch(
    cfg: Config,
    shape: tuple[int, int] | None = None,
    image: str | Path | None = None,
    batch: int = 1,
) -> dict:
    """A batch of equal images, from the test pipeline of a config but without its data.

    Args:
        cfg: Config of the detector.
        shape: Height and width the image is resized to; by default it goes through the
            config's own test pipeline, and a synthetic one has that pipeline's size.
        image: An image file; by default noise, the same in each run.
        batch: Number of images.

    Returns:
        `inputs`, a list of uint8 tensors (3, H, W), and `data_samples`, on the CPU.

    Raises:
        UserError: A bad shape, image or batch, or the config does not tell a shape.
    """
    _check_batch(shape, batch)
    pipeline = _test_pipeline(cfg)
    if image is not None:
        pixels = _read_image(image)
    else:
        size = (*(shape or _default_shape(pipeline)), 3)
        pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    if shape is not None:
        resize = {
            'type': 'mmdet.Resize',
            'scale': tuple(shape)[::-1],
            'keep_ratio': False,
        }
        pipeline = [resize, {'type': 'mmdet.PackDetInputs'}]
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    item = Compose(_without_files(pipeline))({'img': pixels, 'img_id': 0})
    return pseudo_collate([copy.deepcopy(item) for _ in range(batch)])


def _check_batch(shape: tuple[int, int] | None, batch: int) -> None:
    if batch < 1:
        raise UserError(f'batch={batch}: expected 1 or more')
    if shape is not None and (len(shape) != 2 or min(shape) < MIN_SIDE):
        raise UserError(
            f'shape {" ".join(map(str, shape))}: expected height and width, each '
            f'{MIN_SIDE} pixels or more'
        )


def _test_pipeline(cfg: Config) -> list[dict]:
    try:
        return list(get_test_pipeline_cfg(cfg))
    except (AttributeError, KeyError, RuntimeError):  # no test_dataloader
        return []


def _without_files(pipeline: list[dict]) -> list[dict]:
    """The pipeline of an array in place of an image file and its annotations."""
    loading = [step for step in pipeline if _type_name(step).startswith('Load')]
    floats = any(step.get('to_float32', False) for step in loading)
    load = {'type': 'mmdet.LoadImageFromNDArray', 'to_float32': floats}
    return [load, *(step for step in pipeline if step not in loading)]


def _type_name(step: dict) -> str:
    """'Resize' for a step of type 'Resize', 'mmdet.Resize' or the class itself."""
    kind = step['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


def _default_shape(pipeline: list[dict]) -> tuple[int, int]:
    """Height and width of the landscape image that fills the pipeline's Resize."""
    for step in pipeline:
        if _type_name(step).endswith('Resize') and step.get('scale') is not None:
            scale = step['scale']
            width, height = (scale, scale) if isinstance(scale, int) else scale
            if step.get('keep_ratio'):
                height, width = sorted((height, width))
            return height, width
    raise UserError(
        "the config's test pipeline has no Resize with a scale, so the input shape is "
        'not known; give it with --shape H W'
    )


def _read_image(path: str | Path) -> np.ndarray:
    try:
        pixels = mmcv.imread(str(path))
    except OSError as error:
        raise UserError(f'image {path}: {error.strerror}') from error
    if pixels is None:
        raise UserError(f'image {path} cannot be decoded; expected a JPEG or PNG file')
    return pixels
