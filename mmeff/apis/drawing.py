"""Draw predictions and write them: pictures as .jpg, videos as .mp4."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import utils as dist_utils
from mmengine.structures import InstanceData

from mmeff.deploy.media import Frame, Source, frames_per_second
from mmeff.errors import UserError


class _Canvas(DetLocalVisualizer):
    """Keeps the drawn image: `get_image` of the base class would render it again."""

    def add_image(self, name: str, image: np.ndarray, step: int = 0) -> None:
        self.drawn = image


@contextmanager
def _as_rank_0() -> Iterator[None]:
    """mmengine lets rank 0 alone draw; here each rank has pictures of its own."""
    original = dist_utils.is_main_process
    dist_utils.is_main_process = lambda group=None: True
    try:
        yield
    finally:
        dist_utils.is_main_process = original


class Painter:
    """Draws boxes, masks, names and scores, as mmdet's tools do; needs no display.

    Args:
        classes: Names of the classes; may grow later.
        palette: Colours as in `metainfo` (RGB), used when there are enough of them.
    """

    def __init__(self, classes: Sequence[str], palette=None) -> None:
        with _as_rank_0():
            self._canvas = _Canvas()
        self._classes = classes
        self._palette = palette

    def paint(self, image: np.ndarray, instances: InstanceData) -> np.ndarray:
        """A copy of a BGR image (H, W, 3) with the instances (on the CPU) drawn on it."""
        if not len(instances):
            return image.copy()
        palette = 'random'  # always the same random colours
        given = self._palette if isinstance(self._palette, (list, tuple)) else ()
        if len(given) >= len(self._classes):
            palette = [tuple(color) for color in given]
        sample = DetDataSample(pred_instances=instances)
        with _as_rank_0(), warnings.catch_warnings():
            # mmengine warns of each box that touches the border
            warnings.filterwarnings('ignore', '.* is out of bounds')
            self._canvas.dataset_meta = {'classes': self._classes, 'palette': palette}
            self._canvas.add_datasample(
                '', image[..., ::-1], sample, draw_gt=False, pred_score_thr=-1
            )
        return self._canvas.drawn[..., ::-1]


class PictureWriter:
    """Writes drawn frames under a folder, named like their sources.

    `a/b.png` becomes `a/b.jpg`, or `a/b.png.jpg` when that name is taken; all frames of
    a video go to one .mp4, which gets its name when it is complete. A context manager.

    Args:
        folder: Where to write.
        sources: All sources that will come.

    Raises:
        UserError: A picture would overwrite its own source.
    """

    def __init__(self, folder: Path, sources: Sequence[Source]) -> None:
        self._paths = _output_paths(folder, sources)
        for source in sources:
            if self._paths[source.name] == source.content:
                raise UserError(
                    f'{source.content}: its drawn picture would overwrite it; name '
                    'another --out-dir'
                )
        self._video: cv2.VideoWriter | None = None
        self._video_name: str | None = None

    def write(self, frame: Frame, drawn: np.ndarray) -> None:
        """Write one frame; the frames of a video must come in their order."""
        path = self._paths[frame.source.name]
        if self._video_name not in (None, frame.source.name):
            self._finish_video()
        if not frame.source.is_video:
            _write_picture(path, drawn)
            return
        if self._video is None:
            self._start_video(frame)
        self._video.write(np.ascontiguousarray(drawn))

    def __enter__(self) -> 'PictureWriter':
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self._video is None:
            return
        if kind is None:
            self._finish_video()
        else:
            self._video.release()
            _unfinished(self._paths[self._video_name]).unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        """Clean up behind processes that died while they wrote."""
        for path in self._paths.values():
            _unfinished(path).unlink(missing_ok=True)

    def _start_video(self, frame: Frame) -> None:
        name = frame.source.name
        path = _unfinished(self._paths[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = frame.image.shape[:2]
        self._video = cv2.VideoWriter(
            str(path),
            cv2.VideoWriter_fourcc(*'mp4v'),
            frames_per_second(frame.source.content),
            (width, height),
        )
        self._video_name = name
        if not self._video.isOpened():
            raise UserError(
                f'{path}: OpenCV cannot write an .mp4 of {width}x{height} there; check '
                'the folder and the free space, or draw nothing (--no-save-vis)'
            )

    def _finish_video(self) -> None:
        self._video.release()
        os.replace(
            _unfinished(self._paths[self._video_name]), self._paths[self._video_name]
        )
        self._video = self._video_name = None


def _output_paths(folder: Path, sources: Sequence[Source]) -> dict[str, Path]:
    """A path for each source's name, no two the same."""
    taken: dict[str, str] = {}
    for source in sources:
        tail = suffix = '.mp4' if source.is_video else '.jpg'
        name = str(PurePosixPath(source.name).with_suffix(suffix))
        while name in taken:
            name, tail = source.name + tail, tail + suffix
        taken[name] = source.name
    return {source: folder / name for name, source in taken.items()}


def _write_picture(path: Path, image: np.ndarray) -> None:
    done, data = cv2.imencode('.jpg', image)
    if not done:
        height, width = image.shape[:2]
        raise UserError(
            f'{path}: {width}x{height} pixels do not fit into a .jpg (at most 65500 a '
            'side); draw nothing (--no-save-vis) or cut the image into tiles'
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _unfinished(path).write_bytes(data.tobytes())
    os.replace(_unfinished(path), path)


def _unfinished(path: Path) -> Path:
    """Where a file is written until it is complete."""
    return path.with_name(f'.unfinished-{path.name}')
