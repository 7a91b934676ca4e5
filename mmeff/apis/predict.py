"""Run a detector on pictures and videos: boxes as COCO JSON, drawn pictures.

`predict` writes files and sums up; `iter_predictions` gives mmdet's samples one by one.
"""

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dist import is_main_process
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from torch import nn

from mmeff.apis.drawing import PictureWriter
from mmeff.apis.predict_shares import (
    Job,
    Share,
    predict_here,
    predict_in_ranks,
    predict_in_workers,
)
from mmeff.config import load_config
from mmeff.datasets.files import write_json
from mmeff.deploy.media import Input, Source, count_frames, find_sources
from mmeff.deploy.stream import DetectionStream
from mmeff.errors import UserError

LAUNCHERS = ('none', 'pytorch', 'slurm')


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
        backend: What ran the networks.
    """

    coco: dict
    failures: tuple[str, ...]
    loading_ms: float
    model_ms: float
    drawing_ms: float | None
    backend: str

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
    backend: str = 'mmdet',
    precision: str = 'fp32',
    threads: int | None = None,
    device: str | None = None,
    num_workers: int = 1,
    launcher: str = 'none',
    cfg_options: dict | None = None,
    progress: bool = False,
) -> PredictionSummary:
    """Predict on images, folders, glob patterns, videos and arrays.

    Writes `out_dir/predictions.json` (COCO format, when all is done) and drawn pictures
    below `out_dir/vis`, named like the inputs. Inputs that cannot be read are skipped
    and listed in the summary.

    Args:
        config: Config, its path, or the name of one that comes with mmeff.
        checkpoint: Weights of the detector, or what `mmeff.deploy.export` wrote.
        inputs: One or several of: image or video file, folder of images (searched with
            its subfolders), glob pattern, BGR array (H, W, 3) uint8.
        out_dir: Folder for the results.
        pred_score_thr: Boxes up to this score are left out, of pictures and JSON.
        batch_size: Images at a time. Images of different sizes are padded to the
            largest of their batch, which changes scores slightly.
        draw: Write pictures.
        save_json: Write the JSON file.
        backend: As for `mmeff.deploy.load`, like `precision`.
        precision: 'fp32', or with a backend other than 'mmdet' 'bf16' or 'fp16'.
        threads: Of an operator on a CPU; workers divide them.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.
        num_workers: Processes on this machine that share the inputs.
        launcher: 'pytorch' or 'slurm' when this is one of the processes that torchrun
            or srun started to share the inputs. Rank 0 writes the JSON file.
        cfg_options: Settings of the config to override, with dotted keys.
        progress: Show a progress bar when stderr is a terminal.

    Raises:
        UserError: Not one input could be read, a worker died, or config, checkpoint or
            folder are wrong.
    """
    _check(pred_score_thr, batch_size, num_workers, launcher)
    out_dir = Path(os.path.abspath(os.path.expanduser(out_dir)))
    sources = find_sources(inputs, ignore=out_dir / 'vis')
    writer = PictureWriter(out_dir / 'vis', sources) if draw else None
    if draw or save_json:
        _make_folder(out_dir)
    job = Job(
        cfg=load_config(config, cfg_options),
        checkpoint=checkpoint,
        pred_score_thr=pred_score_thr,
        batch_size=batch_size,
        writer=writer,
        device=device,
        backend=backend,
        precision=precision,
        threads=threads,
    )
    with _progress_bar(sources, progress) as advance:
        if launcher != 'none':
            found = predict_in_ranks(job, sources, launcher, advance)
        elif num_workers > 1:
            found = predict_in_workers(job, sources, num_workers, advance)
        else:
            found = predict_here(job, sources, advance)
    if not found.coco['images']:
        raise UserError('\n'.join(found.failures.values()))
    if save_json and is_main_process():
        write_json(out_dir / 'predictions.json', found.coco)
    return _summary(found)


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


def _check(
    pred_score_thr: float, batch_size: int, num_workers: int, launcher: str
) -> None:
    if not 0 <= pred_score_thr <= 1:
        raise UserError(f'score threshold {pred_score_thr}: expected 0 to 1')
    if batch_size < 1:
        raise UserError(f'batch size {batch_size}: expected 1 or more')
    if num_workers < 1:
        raise UserError(f'{num_workers} workers: expected 1 or more')
    if launcher not in LAUNCHERS:
        raise UserError(f'launcher {launcher!r}: expected one of {LAUNCHERS}')
    if launcher != 'none' and num_workers > 1:
        raise UserError(
            f'--launcher {launcher} with --num-workers {num_workers}: expected one of '
            'them; the launcher says how many processes there are'
        )


def _summary(found: Share) -> PredictionSummary:
    times = {
        f'{stage}_ms': 1000 * statistics.median(seconds)
        for stage in ('loading', 'model', 'drawing')
        if (seconds := found.seconds.get(stage))
    }
    # medians leave out the first calls, which set up the GPU
    return PredictionSummary(
        found.coco,
        tuple(found.failures.values()),
        times['loading_ms'],
        times['model_ms'],
        times.get('drawing_ms'),
        found.backend,
    )


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
) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with the number of frames that are done."""
    console = Console(stderr=True)
    if not (show and console.is_terminal):
        yield lambda _: None
        return
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task('predicting', total=count_frames(sources))
        yield lambda done: bar.update(task, completed=done)
