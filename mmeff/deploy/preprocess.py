"""From a decoded image to the input of the network, in few steps.

Two stages of mmdet are done again here, equal to the bit: the test pipeline of the
config (resize, pack) for one image, and the data preprocessor of the model (normalise,
pad, stack) for a batch. Where a config asks for more than these do, mmdet's own run.

On a CPU the arithmetic is numpy's, in one thread: threads of torch that wake up for a
tenth of a millisecond keep the cores from the runtime of the network.
"""

import copy
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.datasets.transforms import FixScaleResize, PackDetInputs, Resize
from mmdet.models import DetDataPreprocessor
from mmdet.models.utils.misc import samplelist_boxtype2tensor
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from torch import Tensor, nn

from mmeff.checkpoints.detector import build_from
from mmeff.errors import UserError

ANNOTATION_STEPS = ('LoadAnnotations', 'LoadPanopticAnnotations')
META_KEYS = {
    *('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale', 'scale_factor'),
    *('keep_ratio', 'flip', 'flip_direction'),
}


class Preprocess:
    """The test pipeline of a config, from the decoded image on.

    Steps that load annotations are left out: there are none.

    Args:
        cfg: Config of the detector.

    Attributes:
        decoding: How the config decodes files, as arguments of
            `mmeff.deploy.media.read_frames`.

    Raises:
        UserError: The config has no usable test pipeline.
    """

    def __init__(self, cfg: Config) -> None:
        if cfg.get('test_dataloader') is None:
            raise UserError('the config has no `test_dataloader`, so no test pipeline')
        loading, *steps = copy.deepcopy(get_test_pipeline_cfg(cfg))
        if _bare(loading) != 'LoadImageFromFile':
            raise UserError(
                f'the test pipeline of the config begins with {loading["type"]}; '
                'expected LoadImageFromFile'
            )
        self.decoding = {
            key: loading[key]
            for key in ('color_type', 'imdecode_backend')
            if key in loading
        }
        loading['type'] = 'mmdet.LoadImageFromNDArray'
        steps = [step for step in steps if _bare(step) not in ANNOTATION_STEPS]
        built = [
            build_from(TRANSFORMS, step, 'test_pipeline') for step in (loading, *steps)
        ]
        self._compose = Compose(built)
        self._steps = built[1:] if _is_usual(*built) else None

    def __call__(self, image: np.ndarray, path: str | None = None) -> dict:
        """What a test dataset gives for the image.

        Args:
            image: As it is decoded, (H, W, 3) uint8 in BGR order.
            path: File that it comes from, for the metainfo.

        Returns:
            `inputs`, uint8 (3, h, w), and `data_samples`, a `DetDataSample`.

        Raises:
            UserError: The image cannot be resized as the config wants it.
        """
        try:
            if self._steps is not None and image.ndim == 3:
                return self._resize_and_pack(image, path)
            packed = self._compose({'img': image, 'img_id': 0})
        except (cv2.error, ValueError) as error:
            height, width = image.shape[:2]
            raise UserError(
                f'{path or "array"}: an image of {width}x{height} pixels does not go '
                f'through the test pipeline of the config ({str(error).strip()}); cut '
                'very long images into tiles'
            ) from error
        if path is not None:
            packed['data_samples'].set_metainfo({'img_path': path})
        return packed

    def _resize_and_pack(self, image: np.ndarray, path: str | None) -> dict:
        resize, pack = self._steps
        results = {'img': image, 'scale': resize.scale, 'ori_shape': image.shape[:2]}
        resize._resize_img(results)
        results |= {'img_id': 0, 'img_path': path}
        sample = DetDataSample(
            metainfo={key: results[key] for key in pack.meta_keys if key in results}
        )
        if path is not None:
            sample.set_metainfo({'img_path': path})
        planes = np.empty((3, *results['img_shape']), np.uint8)
        cv2.split(results['img'], list(planes))
        return {'inputs': torch.from_numpy(planes), 'data_samples': sample}


def _bare(step: dict) -> str:
    """Type of a pipeline step without its scope."""
    return str(step['type']).rpartition('.')[2]


def _is_usual(loading, *steps) -> bool:
    """Whether the steps are: load, resize to a scale, pack what these two know."""
    if len(steps) != 2 or loading.to_float32 or 'color' not in loading.color_type:
        return False
    resize, pack = steps
    return (
        type(resize) in (Resize, FixScaleResize)
        and resize.scale is not None
        and type(pack) is PackDetInputs
        and META_KEYS.issuperset(pack.meta_keys)
    )


class QuickPreprocessor(DetDataPreprocessor):
    """mmdet's data preprocessor, faster on a list of uint8 images (3, h, w)."""

    def forward(self, data: dict, training: bool = False) -> dict:
        """As the base class: `inputs` (B, 3, H, W) float32 and `data_samples`."""
        images = data['inputs']
        if training or not self._takes(images):
            return super().forward(data, training)
        divisor = self.pad_size_divisor
        padded = [
            tuple(divisor * math.ceil(side / divisor) for side in image.shape[1:])
            for image in images
        ]
        shape = tuple(map(max, zip(*padded, strict=True)))
        samples = self.cast_data(data.get('data_samples'))
        if samples is not None:
            for sample, size in zip(samples, padded, strict=True):
                sample.set_metainfo({'batch_input_shape': shape, 'pad_shape': size})
            if self.boxtype2tensor:
                samplelist_boxtype2tensor(samples)
        return {'inputs': self._normalise(images, shape), 'data_samples': samples}

    def _takes(self, images: Sequence[Tensor] | Tensor) -> bool:
        return (
            isinstance(images, list | tuple)
            and self._enable_normalize
            and len(self.mean) == 3
            and all(
                isinstance(image, Tensor)
                and image.dtype == torch.uint8
                and image.ndim == 3
                and len(image) == 3
                for image in images
            )
        )

    def _normalise(self, images: Sequence[Tensor], shape: tuple[int, int]) -> Tensor:
        on_cpu = self.device.type == 'cpu'
        batch = torch.empty((len(images), 3, *shape), device=self.device)
        # the same operators from here on, of numpy or of torch
        targets = batch.numpy() if on_cpu else batch
        mean, std = (
            buffer.float().numpy() if on_cpu else buffer.float()
            for buffer in (self.mean, self.std)
        )
        for target, image in zip(targets, images, strict=True):
            height, width = image.shape[1:]
            if (height, width) != shape:
                target[:] = self.pad_value
            pixels = image.numpy() if on_cpu else image.to(self.device)
            if self._channel_conversion:
                pixels = pixels[::-1] if on_cpu else pixels.flip(0)
            region = target[:, :height, :width]
            region[:] = pixels
            region -= mean
            region /= std
        return batch


def speed_up_preprocessor(model: nn.Module) -> None:
    """Let a detector normalise, pad and stack with `QuickPreprocessor`, if that fits.

    It fits mmdet's `DetDataPreprocessor` itself; subclasses may do anything.
    """
    if type(model.data_preprocessor) is DetDataPreprocessor:
        model.data_preprocessor.__class__ = QuickPreprocessor
