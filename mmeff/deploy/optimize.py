"""The same detector, run faster."""

import copy

import torch
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from torch import nn

from mmeff.deploy.backends import Settings, backend
from mmeff.deploy.parts import split
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch


def optimize(
    model: nn.Module,
    name: str = 'torch',
    *,
    precision: str = 'fp32',
    threads: int | None = None,
    dynamic: bool | None = None,
    data: dict | None = None,
) -> nn.Module:
    """A copy of a detector whose networks are run by a backend.

    Everything else is as before: `test_step`, `cfg`, `dataset_meta`; so mmdet's
    `inference_detector` and mmeff's tools take it in place of the detector. It cannot be
    trained.

    Args:
        model: Detector in eval mode, on its device, with its config as `cfg`.
        name: One of `mmeff.deploy.backends.BACKENDS`.
        precision: 'fp32', 'bf16' or 'fp16'.
        threads: Of an operator on a CPU; torch's own choice by default.
        dynamic: Whether sizes of images or batches vary; by default they do unless the
            test pipeline resizes all images to one size. A fixed size is faster, and a
            batch is then run image by image.
        data: A batch as a test dataloader gives it, of the size to optimise for; by
            default a synthetic image of the test pipeline's size.

    Raises:
        UserError: The backend, or the detector with it, cannot be used.
    """
    settings = Settings(next(model.parameters()).device, precision, threads)
    module = backend(name)
    reason = module.missing(settings)
    if reason:
        raise UserError(f'backend {name}: {reason}')
    if dynamic is None:
        dynamic = not has_fixed_size(model.cfg)
    model = copy.deepcopy(model).requires_grad_(False)
    data = make_batch(model.cfg) if data is None else data
    images = model.data_preprocessor(copy.deepcopy(data), False)['inputs']
    with torch.no_grad():
        for part in split(model, images):
            part.install(module.build(part, settings, dynamic or part.on_rois))
    return model


def has_fixed_size(cfg: Config) -> bool:
    """Whether the test pipeline resizes all images to the same size."""
    return any(
        str(step['type']).endswith('Resize') and not step.get('keep_ratio', False)
        for step in get_test_pipeline_cfg(cfg)
    )
