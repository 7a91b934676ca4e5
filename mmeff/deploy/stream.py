"""Frames in, detections out: the test pipeline, batches and the clock of `predict`."""

import copy
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from torch import nn

from mmeff.checkpoints.detector import build_from
from mmeff.deploy.media import Frame, Source, read_frames
from mmeff.errors import UserError

ANNOTATION_STEPS = ('LoadAnnotations', 'LoadPanopticAnnotations')


class Stopwatch:
    """Seconds per frame of named stages."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def measure(self, stage: str, frames: int = 1) -> Iterator[None]:
        """Time a block that works on so many frames."""
        start = time.perf_counter()
        yield
        self.add(stage, (time.perf_counter() - start) / frames)

    def add(self, stage: str, seconds: float) -> None:
        """Add what one frame took."""
        self._seconds[stage].append(seconds)

    def median_ms(self, stage: str) -> float | None:
        """Median of a stage in ms per frame; None when it never ran.

        The median leaves out the first calls, which set up the GPU.
        """
        seconds = self._seconds.get(stage)
        return 1000 * statistics.median(seconds) if seconds else None


class DetectionStream:
    """A detector with the test pipeline of its config, fed frame by frame.

    Every picture is decoded once: what the detector sees and what is drawn on are the
    same pixels, so a picture turned by its EXIF tag is turned for both.

    Args:
        model: A detector with its config as `cfg`.
        batch_size: Frames at a time.
        skip_unreadable: Go on when an input cannot be read, and keep the message in
            `failures`.

    Raises:
        UserError: The config has no usable test pipeline.
    """

    def __init__(
        self, model: nn.Module, batch_size: int = 1, skip_unreadable: bool = False
    ) -> None:
        if batch_size < 1:
            raise UserError(f'batch size {batch_size}: expected 1 or more')
        self.model = model
        self.watch = Stopwatch()
        self.failures: list[str] = []
        self._batch_size = batch_size
        self._skip_unreadable = skip_unreadable
        self._decoding, self._pipeline = _build_pipeline(model.cfg)

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
                samples = [one.cpu() for one in self.model.test_step(data)]
            for frame, sample in zip(frames, samples, strict=True):
                if 'pred_instances' not in sample:
                    raise UserError(
                        f'{type(self.model).__name__} predicts no boxes: mmeff needs a '
                        'model for detection or instance segmentation'
                    )
                if isinstance(frame.source.content, Path):
                    sample.set_metainfo({'img_path': str(frame.source.content)})
                yield frame, sample

    def _load(self, sources: Iterable[Source]) -> Iterator[tuple[Frame, dict]]:
        """Frames with the packed inputs of the model; the unreadable are left out."""
        for source in sources:
            try:
                yield from self._load_source(source)
            except UserError as error:
                if not self._skip_unreadable:
                    raise
                self.failures.append(str(error))

    def _load_source(self, source: Source) -> Iterator[tuple[Frame, dict]]:
        start = time.perf_counter()
        for frame in read_frames(source, **self._decoding):
            packed = self._pipeline({'img': frame.image, 'img_id': 0})
            self.watch.add('loading', time.perf_counter() - start)
            yield frame, packed
            start = time.perf_counter()


def _build_pipeline(cfg: Config) -> tuple[dict, Compose]:
    """How the config decodes images, and its test pipeline from the array on.

    Steps that load annotations are left out: there are none.
    """
    if cfg.get('test_dataloader') is None:
        raise UserError('the config has no `test_dataloader`, so no test pipeline')
    loading, *steps = copy.deepcopy(get_test_pipeline_cfg(cfg))
    if _bare(loading) != 'LoadImageFromFile':
        raise UserError(
            f'the test pipeline of the config begins with {loading["type"]}; expected '
            'LoadImageFromFile'
        )
    decoding = {
        key: loading[key]
        for key in ('color_type', 'imdecode_backend')
        if key in loading
    }
    loading['type'] = 'mmdet.LoadImageFromNDArray'
    steps = [step for step in steps if _bare(step) not in ANNOTATION_STEPS]
    return decoding, Compose(
        [build_from(TRANSFORMS, step, 'test_pipeline') for step in (loading, *steps)]
    )


def _bare(step: dict) -> str:
    """Type of a pipeline step without its scope."""
    return str(step['type']).rpartition('.')[2]
