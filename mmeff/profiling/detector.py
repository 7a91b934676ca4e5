"""The adapter between mmdet's detectors and the measurements, which know torch only.

Four regions are measured:

- ``forward``: backbone, neck and heads on an input that is ready on the device,
  ``model(inputs, mode='tensor')``. Detectors with proposals also decode and select them.
- ``detect``: what a user waits for once an image is loaded and resized,
  ``model.test_step``: copy to the device, normalise, pad, network, decode, NMS, rescale.
- ``pipeline``: what a user waits for who has a file: read, decode and resize it by the
  config's test pipeline, then ``detect``. All in this process, nothing in parallel.
- ``api``: what a program waits for that has a decoded image: one call of mmdet's
  ``inference_detector`` or, with a backend, of mmeff's ``Predictor``.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

from mmeff.deploy.fusion import fuse_conv_bn
from mmeff.errors import UserError
from mmeff.profiling.precision import autocast, check_precision, torch_settings

RECOMPILE_LIMIT = 256
REGIONS = ('forward', 'detect', 'pipeline', 'api')


class DetectorRegions:
    """The regions of one detector on one fixed batch.

    Args:
        model: A detector in eval mode, on its device.
        data: Batch as a test dataloader gives it, see `inputs.make_batch`.
        precision: A key of `mmeff.profiling.precision.PRECISIONS`.
        load: Reads the batch from files, see `inputs.make_loader`; only `pipeline` needs it.
        call: Detects in a decoded image; only `api` needs it.
        device: Where it runs; by default where its parameters are. An optimised model
            may have none.

    Raises:
        UserError: The device has no such precision.
    """

    def __init__(
        self,
        model: nn.Module,
        data: dict,
        precision: str = 'fp32',
        load: Callable[[], dict] | None = None,
        call: Callable[[], object] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.model = model
        self.data = data
        self.precision = precision
        self.load = load
        self.call = call
        self.device = device or next(model.parameters()).device
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

    @torch.no_grad()
    def pipeline(self) -> list:
        """Run the region `pipeline`; returns one data sample per image."""
        data = self.load()
        with autocast(self.precision, self.device):
            return self.model.test_step(data)

    @torch.no_grad()
    def api(self) -> object:
        """Run the region `api`; returns the data sample of the image."""
        with autocast(self.precision, self.device):
            return self.call()

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

    def move(self, device: torch.device) -> None:
        """Move model and input; on `self.device` the regions can be run."""
        self.model.to(device)
        self.inputs = self.inputs.to(device)

    def use_channels_last(self) -> None:
        """Keep weights and input with channels as the innermost dimension."""
        self.model.to(memory_format=torch.channels_last)
        self.inputs = self.inputs.contiguous(memory_format=torch.channels_last)

    def fuse_conv_bn(self) -> tuple[int, int]:
        """Fuse convolutions and batch norms; returns how many, and how many are left.

        Raises:
            UserError: The fused network does not compute the same.
        """
        staged = getattr(self.model, 'with_rpn', False)

        def network():
            # a second stage amplifies rounding: proposals may change places
            if staged:
                return self.model.extract_feat(self.inputs)
            return self.model(self.inputs, self.samples, mode='tensor')

        try:
            with torch_settings('fp32'):
                return fuse_conv_bn(self.model, network)
        except ValueError as error:
            raise UserError(f'--fuse-conv-bn: {error}') from error

    def compile(self) -> None:
        """Compile backbone, neck and heads by `torch.compile`, each on its own.

        Decoding, NMS and the data preprocessor stay as they are.

        Raises:
            UserError: torch cannot compile the network.
        """
        for part in _network_parts(self.model):
            part.forward = torch.compile(part.forward)
        try:
            self.forward()
            self.detect()
        except torch._dynamo.exc.TorchDynamoException as error:
            lines = ' '.join(str(error).strip().splitlines()[:2])
            raise UserError(
                f'--compile: torch.compile cannot compile the network: '
                f'{type(error).__name__}: {lines}'
            ) from error


def strict_compilation() -> AbstractContextManager:
    """Settings of torch under which what is compiled stays compiled.

    Detectors of one class share a limit of compilations, beyond which torch would go on
    eagerly and say so in a log only.
    """
    return torch._dynamo.config.patch(
        recompile_limit=RECOMPILE_LIMIT, fail_on_recompile_limit_hit=True
    )


def _network_parts(model: nn.Module) -> Iterator[nn.Module]:
    """Backbone, neck and heads; those of a second stage, and of each cascade, apart."""
    parts = dict(model.named_children())
    parts.pop('data_preprocessor', None)
    second = parts.pop('roi_head', None)
    if second is not None:
        heads = second.named_children()
        parts.update((name, part) for name, part in heads if name.endswith('_head'))
    for part in parts.values():
        yield from part if isinstance(part, nn.ModuleList) else [part]
