"""Run a detector on pictures and videos: boxes as COCO JSON, drawn pictures.

`predict` writes files and sums up; `iter_predictions` gives mmdet's samples one by one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mmdet.structures import DetDataSample
from mmengine.config import Config
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from torch import nn

from mmeff.apis.coco_results import CocoResults
from mmeff.apis.drawing import Painter, PictureWriter
from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.datasets.files import write_json
from mmeff.deploy.media import Input, Source, count_frames, find_sources
from mmeff.deploy.stream import DetectionStream
from mmeff.errors import UserError


@dataclass(frozen=True)
class PredictionSummary:
    """What `predict` found and did; times are medians in ms per frame.

    Attributes:
        coco: The predictions, see `mmeff.apis.coco_results.CocoResults`.
        failures: One message for each input that could not be read (to its end).
        loading_ms: Reading, decoding and the test pipeline (resize).
        model_ms: Normalisation, network, decoding of boxes and NMS, until the results
            are on the CPU.
        drawing_ms: Drawing, encoding and writing; None without pictures.
    """

    coco: dict
    failures: tuple[str, ...]
    loading_ms: float
    model_ms: float
    drawing_ms: float | None

    @property
    def num_images(self) -> int:
        """Pictures and video frames that were predicted on."""
        return len(self.coco['images'])

    @property
    def num_boxes(self) -> int:
        """Boxes above the threshold in all of them."""
        return len(self.coco['annotations'])


def predict(
    config: str | Path | Config,
    checkpoint: str | Path,
    inputs: Input | Sequence[Input],
    out_dir: str | Path = 'outputs',
    *,
    pred_score_thr: float = 0.3,
    batch_size: int = 1,
    draw: bool = True,
    save_json: bool = True,
    device: str | None = None,
    cfg_options: dict | None = None,
    progress: bool = False,
) -> PredictionSummary:
    """Predict on images, folders, glob patterns, videos and arrays.

    Writes `out_dir/predictions.json` (COCO format, when all is done) and drawn pictures
    below `out_dir/vis`, named like the inputs. Inputs that cannot be read are skipped
    and listed in the summary.

    Args:
        config: Config, its path, or the name of one that comes with mmeff.
        checkpoint: Weights of the detector.
        inputs: One or several of: image or video file, folder of images (searched with
            its subfolders), glob pattern, BGR array (H, W, 3) uint8.
        out_dir: Folder for the results.
        pred_score_thr: Boxes up to this score are left out, of pictures and JSON.
        batch_size: Images at a time. Images of different sizes are padded to the
            largest of their batch, which changes scores slightly.
        draw: Write pictures.
        save_json: Write the JSON file.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.
        cfg_options: Settings of the config to override, with dotted keys.
        progress: Show a progress bar when stderr is a terminal.

    Raises:
        UserError: Not one input could be read, or config, checkpoint or folder are
            wrong.
    """
    if not 0 <= pred_score_thr <= 1:
        raise UserError(f'score threshold {pred_score_thr}: expected 0 to 1')
    out_dir = Path(os.path.abspath(os.path.expanduser(out_dir)))
    sources = find_sources(inputs, ignore=out_dir / 'vis')
    writer = PictureWriter(out_dir / 'vis', sources) if draw else None
    if draw or save_json:
        _make_folder(out_dir)
    model = build_detector(load_config(config, cfg_options), checkpoint, device)
    stream = DetectionStream(model, batch_size, skip_unreadable=True)
    with _progress_bar(sources, progress) as advance:
        coco = _collect(stream, sources, pred_score_thr, writer, advance)
    if not coco['images']:
        raise UserError('\n'.join(stream.failures))
    if save_json:
        write_json(out_dir / 'predictions.json', coco)
    stages = ('loading', 'model', 'drawing')
    times = {f'{stage}_ms': stream.watch.median_ms(stage) for stage in stages}
    return PredictionSummary(coco, tuple(stream.failures), **times)


def iter_predictions(
    model: nn.Module, inputs: Input | Sequence[Input], batch_size: int = 1
) -> Iterator[tuple[str, DetDataSample]]:
    """All detections of a built model, as mmdet gives them, one frame after the other.

    Nothing is kept or written, so the inputs may be a long video.

    Args:
        model: From `mmeff.checkpoints.detector.build_detector` or mmdet's `init_detector`.
        inputs: As for `predict`.
        batch_size: As for `predict`.

    Yields:
        Name of the image or frame, and its sample on the CPU with `pred_instances`.

    Raises:
        UserError: An input does not exist or cannot be read.
    """
    stream = DetectionStream(model, batch_size)
    for frame, sample in stream.detect(find_sources(inputs)):
        yield frame.name, sample


def _collect(
    stream: DetectionStream,
    sources: Sequence[Source],
    pred_score_thr: float,
    writer: PictureWriter | None,
    advance: Callable[[], None],
) -> dict:
    """Predict on all sources, write pictures on the way, return the COCO dictionary."""
    meta = stream.model.dataset_meta
    results = CocoResults(meta.get('classes', ()))
    painter = Painter(results.classes, meta.get('palette'))
    with writer or nullcontext():
        for frame, sample in stream.detect(sources):
            instances = sample.pred_instances
            instances = instances[instances.scores > pred_score_thr]
            results.add(frame, instances)
            if writer is not None:
                with stream.watch.measure('drawing'):
                    writer.write(frame, painter.paint(frame.image, instances))
            advance()
    return results.content


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f'{folder}: cannot be made ({error.strerror}); name another --out-dir'
        ) from error


@contextmanager
def _progress_bar(
    sources: Sequence[Source], show: bool
) -> Iterator[Callable[[], None]]:
    """Gives a function to call after each frame."""
    console = Console(stderr=True)
    if not (show and console.is_terminal):
        yield lambda: None
        return
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task('predicting', total=count_frames(sources))
        yield lambda: bar.advance(task)
