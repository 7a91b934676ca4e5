"""Prediction on many inputs by one process, by workers on this machine, or by ranks.

Always the same is done: the inputs are divided, each process builds the detector and
predicts on its share, and the shares are put together in the order of the inputs.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmengine.config import Config
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_dist_info,
    init_dist,
    is_distributed,
)
from mmengine.utils import import_modules_from_strings
from torch import multiprocessing
from torch.multiprocessing import ProcessExitedException

from mmeff.apis.coco_results import CocoResults, merge_coco
from mmeff.apis.drawing import Painter, PictureWriter
from mmeff.datasets.files import read_json, write_json
from mmeff.deploy.media import Source, count_frames
from mmeff.deploy.predictor import AUTO, load
from mmeff.deploy.stream import DetectionStream
from mmeff.errors import UserError

Advance = Callable[[int], None]  # hears how many frames are done in all
POLL_SECONDS = 0.2
A_YEAR = 365 * 24 * 3600  # seconds; a rank that is done waits for the slowest


@dataclass(frozen=True)
class Job:
    """What a process must know; it can be pickled.

    Attributes:
        cfg: Config of the detector.
        checkpoint: Its weights.
        pred_score_thr: Boxes up to this score are left out.
        batch_size: Images at a time.
        writer: Draws and writes pictures, if wanted.
        device: As for `mmeff.deploy.load`, like the following.
        backend: Name.
        precision: 'fp32', 'bf16' or 'fp16'.
        threads: Of an operator on a CPU.
    """

    cfg: Config
    checkpoint: str | Path
    pred_score_thr: float
    batch_size: int
    writer: PictureWriter | None
    device: str | None
    backend: str
    precision: str
    threads: int | None


@dataclass
class Share:
    """What a process found.

    Attributes:
        coco: The predictions, see `mmeff.apis.coco_results.CocoResults`.
        failures: Messages about inputs that could not be read, by their names.
        seconds: Of each frame, by stage: 'loading', 'model', 'drawing'.
        backend: What ran the detector.
        error: Why the process gave up, for people.
    """

    coco: dict = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    backend: str = ''
    error: str | None = None


def predict_here(job: Job, sources: Sequence[Source], advance: Advance) -> Share:
    """Predict on sources in this process."""
    predictor = load(
        job.cfg,
        job.checkpoint,
        job.backend,
        device=job.device,
        precision=job.precision,
        threads=job.threads,
    )
    stream = DetectionStream(predictor.model, job.batch_size, skip_unreadable=True)
    meta = predictor.model.dataset_meta
    results = CocoResults(meta.get('classes', ()))
    painter = Painter(results.classes, meta.get('palette'))
    with job.writer or nullcontext():
        for done, (frame, sample) in enumerate(stream.detect(sources), 1):
            instances = sample.pred_instances
            instances = instances[instances.scores > job.pred_score_thr]
            results.add(frame, instances)
            if job.writer is not None:
                with stream.watch.measure('drawing'):
                    job.writer.write(frame, painter.paint(frame.image, instances))
            advance(done)
    return Share(
        results.content, stream.failures, dict(stream.watch.seconds), predictor.backend
    )


def predict_in_workers(
    job: Job, sources: Sequence[Source], num_workers: int, advance: Advance
) -> Share:
    """Predict in processes on this machine, which share its threads and GPUs.

    Raises:
        UserError: A worker gave up, or died.
    """
    parts = [part for part in divide(sources, num_workers, job.batch_size) if part]
    if len(parts) == 1:
        return predict_here(job, sources, advance)
    threads = (job.threads or torch.get_num_threads()) // len(parts)
    job = _with_backend(replace(job, threads=max(1, threads)))
    counts = multiprocessing.get_context('spawn').Array('q', len(parts), lock=False)
    with TemporaryDirectory(prefix='mmeff-') as folder:
        arguments = job, parts, folder, counts
        workers = multiprocessing.spawn(
            _work, arguments, len(parts), join=False, daemon=True
        )
        try:
            while not workers.join(POLL_SECONDS):
                advance(sum(counts))
        except ProcessExitedException as error:
            raise UserError(
                f'worker {error.error_index} of {len(parts)} died with exit code '
                f'{error.exit_code}{_signal(error)}, so there is no result. Where the '
                'memory was not enough, take fewer --num-workers or a smaller '
                '--batch-size'
            ) from error
        finally:
            _end(workers.processes)
            if job.writer is not None:
                job.writer.remove_unfinished()
        found = [read_json(_file_of(folder, rank)) for rank in range(len(parts))]
    return merge([Share(**content) for content in found], sources)


def predict_in_ranks(
    job: Job, sources: Sequence[Source], launcher: str, advance: Advance
) -> Share:
    """Predict in the processes that torchrun or SLURM started; all get the whole.

    Args:
        job: What to do; that of rank 0 counts.
        sources: What to predict on; those of rank 0 count.
        launcher: 'pytorch' or 'slurm'.
        advance: Hears of the frames of rank 0 only.

    Raises:
        UserError: The launcher did not start this process, or a rank gave up.
    """
    if not is_distributed():
        try:
            init_dist(launcher, backend='gloo', timeout=A_YEAR)
        except (KeyError, ValueError) as error:
            raise UserError(
                f'--launcher {launcher} did not start this process ({error}); expected '
                'to run under torchrun --nproc_per_node N (pytorch) or srun (slurm)'
            ) from error
    rank, size = get_dist_info()
    orders = [_with_backend(job), sources] if rank == 0 else [None, None]
    broadcast_object_list(orders)
    job, sources = orders
    part = divide(sources, size, job.batch_size)[rank]
    share = _attempt(job, part, advance if rank == 0 else lambda _: None)
    return merge(all_gather_object(share), sources)


def divide(
    sources: Sequence[Source], num_parts: int, batch_size: int
) -> list[list[Source]]:
    """Parts of about as many frames each; videos stay whole, batches where they can."""
    parts, sizes = [[] for _ in range(num_parts)], [0] * num_parts
    for start in range(0, len(sources), batch_size):
        batch = sources[start : start + batch_size]
        smallest = sizes.index(min(sizes))
        parts[smallest].extend(batch)
        sizes[smallest] += count_frames(batch)
    return parts


def merge(shares: Sequence[Share], sources: Sequence[Source]) -> Share:
    """One share, as if one process had done it all.

    Raises:
        UserError: A process gave up; its reason.
    """
    errors = [share.error for share in shares if share.error is not None]
    if errors:
        raise UserError(errors[0])
    shares = [share for share in shares if share.coco]  # others had nothing to do
    names = [source.name for source in sources]
    failures = {name: text for share in shares for name, text in share.failures.items()}
    seconds = {
        stage: [each for share in shares for each in share.seconds.get(stage, ())]
        for stage in {stage for share in shares for stage in share.seconds}
    }
    return Share(
        merge_coco([share.coco for share in shares], names),
        {name: failures[name] for name in names if name in failures},
        seconds,
        shares[0].backend,
    )


def _work(
    rank: int, job: Job, parts: list[list[Source]], folder: str, counts: Sequence[int]
) -> None:
    """What a worker runs: its share goes to a file."""
    if job.device is None and torch.cuda.is_available():
        torch.cuda.set_device(rank % torch.cuda.device_count())
    custom = job.cfg.get('custom_imports')
    if custom:  # of the user's own modules; reading the config did so in the parent
        import_modules_from_strings(**custom)

    def advance(done: int) -> None:
        counts[rank] = done

    write_json(_file_of(folder, rank), vars(_attempt(job, parts[rank], advance)))


def _attempt(job: Job, sources: Sequence[Source], advance: Advance) -> Share:
    """A share, where an error is a message to the process that merges."""
    if not sources:
        return Share()
    try:
        return predict_here(job, sources, advance)
    except UserError as error:
        return Share(error=str(error))


def _with_backend(job: Job) -> Job:
    """The job with a backend that is chosen once, for all processes."""
    if job.backend != AUTO:
        return job
    options = {'device': job.device, 'precision': job.precision, 'threads': job.threads}
    return replace(job, backend=load(job.cfg, job.checkpoint, **options).backend)


def _file_of(folder: str, rank: int) -> Path:
    return Path(folder, f'{rank}.json')


def _signal(error: ProcessExitedException) -> str:
    return f' ({error.signal_name})' if error.signal_name else ''


def _end(processes: Sequence[multiprocessing.Process]) -> None:
    for process in processes:
        if process.is_alive():
            process.terminate()
        process.join()
