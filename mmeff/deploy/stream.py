"""Frames in, detections out: the test pipeline, batches and the clock of `predict`."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from torch import nn

from mmeff.deploy.media import Frame, Source, read_frames
from mmeff.deploy.preprocess import Preprocess
from mmeff.errors import UserError


class Stopwatch:
    """Seconds per frame of named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def measure(self, stage: str, frames: int = 1) -> Iterator[None]:
        """Time a block that works on so many frames."""
        start = time.perf_counter()
        yield
        self.add(stage, (time.perf_counter() - start) / frames)

    def add(self, stage: str, seconds: float) -> None:
        """Add what one frame took."""
        self.seconds[stage].append(seconds)


class DetectionStream:
    """A detector with the test pipeline of its config, fed frame by frame.

    Every picture is decoded once: what the detector sees and what is drawn on are the
    same pixels, so a picture turned by its EXIF tag is turned for both.

    Args:
        model: A detector with its config as `cfg`.
        batch_size: Frames at a time.
        skip_unreadable: Go on when an input cannot be read, and keep the message in
            `failures`, by the name of the input.
        preprocess: The test pipeline of the model's config, when it is there already.

    Raises:
        UserError: The config has no usable test pipeline.
    """

    def __init__(
        self,
        model: nn.Module,
        batch_size: int = 1,
        skip_unreadable: bool = False,
        preprocess: Preprocess | None = None,
    ) -> None:
        if batch_size < 1:
            raise UserError(f'batch size {batch_size}: expected 1 or more')
        self.model = model
        self.watch = Stopwatch()
        self.failures: dict[str, str] = {}
        self._batch_size = batch_size
        self._skip_unreadable = skip_unreadable
        self._preprocess = preprocess or Preprocess(model.cfg)

    def detect(
        self, sources: Iterable[Source]
    ) -> Iterator[tuple[Frame, DetDataSample]]:
        """Detections of each frame, on the CPU, in the pixels of the original frame.

        Raises:
            UserError: A source cannot be read and `skip_unreadable` is off, or the
                model gives no boxes.
        """
        loaded = self._load(sources)
        while batch := list(islice(loaded, self._batch_size)):
            frames, packed = zip(*batch, strict=True)
            data = {key: [one[key] for one in packed] for key in packed[0]}
            with self.watch.measure('model', len(batch)), torch.no_grad():
                samples = self.model.test_step(data)
                if self.model.data_preprocessor.device.type != 'cpu':
                    samples = [sample.cpu() for sample in samples]
            for frame, sample in zip(frames, samples, strict=True):
                if 'pred_instances' not in sample:
                    raise UserError(
                        f'{type(self.model).__name__} predicts no boxes: mmeff needs a '
                        'model for detection or instance segmentation'
                    )
                yield frame, sample

    def _load(self, sources: Iterable[Source]) -> Iterator[tuple[Frame, dict]]:
        """Frames with the packed inputs of the model; the unreadable are left out."""
        for source in sources:
            try:
                yield from self._load_source(source)
            except UserError as error:
                if not self._skip_unreadable:
                    raise
                self.failures[source.name] = str(error)

    def _load_source(self, source: Source) -> Iterator[tuple[Frame, dict]]:
        start = time.perf_counter()
        path = str(source.content) if isinstance(source.content, Path) else None
        for frame in read_frames(source, **self._preprocess.decoding):
            packed = self._preprocess(frame.image, path)
            self.watch.add('loading', time.perf_counter() - start)
            yield frame, packed
            start = time.perf_counter()
