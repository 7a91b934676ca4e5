"""One object that predicts, whatever runs the networks and whatever the input is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import nn

from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.deploy.choose import BASELINE, build_backend, choose, expand
from mmeff.deploy.exported import is_exported
from mmeff.deploy.media import (
    Frame,
    Input,
    Source,
    find_sources,
    image_source,
    is_single_image,
)
from mmeff.deploy.preprocess import Preprocess
from mmeff.deploy.stream import DetectionStream
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch

AUTO = 'auto'


class Predictor:
    """Detections of images, as mmdet's `inference_detector` gives them.

    Args:
        model: Detector with its config as `cfg`, optimised or not.
        backend: What runs it, for those who ask.
        batch_size: Images at a time. Images of different sizes are padded to the
            largest of their batch, which changes scores slightly.

    Raises:
        UserError: The config has no usable test pipeline.
    """

    def __init__(
        self, model: nn.Module, backend: str = BASELINE, batch_size: int = 1
    ) -> None:
        self.model = model
        self.backend = backend
        self.batch_size = batch_size
        self._preprocess = Preprocess(model.cfg)

    def __call__(
        self, inputs: Input | Sequence[Input]
    ) -> DetDataSample | list[DetDataSample] | Iterator[DetDataSample]:
        """Predict.

        Args:
            inputs: An image: the path of a file, or an array as in
                `mmeff.deploy.media.to_bgr`, mostly (H, W, 3) uint8 in BGR order. A list
                of those, or an array (N, H, W, 3). Or what holds many images: a video,
                a folder, a glob pattern.

        Returns:
            The sample of an image, with `pred_instances` on the CPU in pixels of the
            image; a list for a list; and for what holds many images an iterator, which
            reads them one after the other.

        Raises:
            UserError: An input does not exist, cannot be read, or is no image.
        """
        if isinstance(inputs, np.ndarray) and inputs.ndim == 4:
            inputs = list(inputs)
        if isinstance(inputs, list | tuple):
            sources = [image_source(item, index) for index, item in enumerate(inputs)]
            return [sample for _, sample in self._detect(sources)]
        if is_single_image(inputs):
            ((_, sample),) = self._detect([image_source(inputs)])
            return sample
        return (sample for _, sample in self.stream(inputs))

    def stream(
        self, inputs: Input | Sequence[Input]
    ) -> Iterator[tuple[Frame, DetDataSample]]:
        """Predict frame by frame; nothing is kept, so the inputs may be long videos.

        Args:
            inputs: One or several images, videos, folders and glob patterns.

        Returns:
            Iterator over frames and their samples, in the order of the inputs.

        Raises:
            UserError: An input does not exist or, once it is its turn, cannot be read.
        """
        return self._detect(find_sources(inputs))

    def _detect(
        self, sources: Sequence[Source]
    ) -> Iterator[tuple[Frame, DetDataSample]]:
        stream = DetectionStream(
            self.model, self.batch_size, preprocess=self._preprocess
        )
        return stream.detect(sources)


def load(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    backend: str = AUTO,
    *,
    device: str | None = None,
    precision: str = 'fp32',
    threads: int | None = None,
    batch_size: int = 1,
    cfg_options: dict | None = None,
) -> Predictor:
    """A detector, ready to predict, on the backend that is asked for.

    Args:
        config: Config, its path, or the name of one that comes with mmeff.
        checkpoint: Weights of the detector; random ones without it. Or what
            `mmeff.deploy.export` wrote, an .onnx file or a folder.
        backend: 'mmdet' (the detector as it is), 'torch', 'compile', 'onnxruntime',
            'openvino' or 'tensorrt'; 'auto' measures and takes the fastest whose
            detections agree, or 'onnxruntime' for an exported checkpoint.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.
        precision: 'fp32', 'bf16' or 'fp16'.
        threads: Of an operator on a CPU, for all of this process; by default torch's
            own choice.
        batch_size: As for `Predictor`.
        cfg_options: Settings of the config to override, with dotted keys.

    Raises:
        UserError: Config, checkpoint or backend cannot be used.
    """
    if backend != AUTO:
        expand([backend])
    if threads is not None:
        _set_threads(threads)
    cfg = load_config(config, cfg_options)
    if checkpoint is not None and is_exported(checkpoint):
        exported, checkpoint = {'exported': checkpoint}, None
        backend = 'onnxruntime' if backend == AUTO else backend
    else:
        exported = {}
    model = build_detector(cfg, checkpoint, device)
    if backend == AUTO:
        backend, model = choose(model, precision=precision, threads=threads)
    elif backend != BASELINE:
        model = build_backend(
            model,
            backend,
            make_batch(cfg),
            precision=precision,
            threads=threads,
            **exported,
        )
    elif exported or precision != 'fp32':
        raise UserError(
            f'backend {BASELINE} runs checkpoints in fp32; for '
            f'{"exported files" if exported else precision} choose another'
        )
    return Predictor(model, backend, batch_size)


def _set_threads(threads: int) -> None:
    if threads < 1:
        raise UserError(f'{threads} threads: expected 1 or more')
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
