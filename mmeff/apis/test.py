"""Evaluate a trained detector."""

from math import isfinite
from pathlib import Path

from mmdet.evaluation import DumpDetResults
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmeff.apis.runner import build_runner, friendly_errors, prepare
from mmeff.checkpoints.loading import load_detector_weights
from mmeff.checkpoints.safe import file_sha256
from mmeff.config import load_config
from mmeff.deploy.choose import BASELINE, build_backend, choose, expand
from mmeff.deploy.exported import is_exported, weights_sha256
from mmeff.deploy.predictor import AUTO
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch
from mmeff.profiling.results import write_result


def test(
    config,
    checkpoint: str | Path,
    work_dir: str | Path | None = None,
    data: str | Path | None = None,
    classes: list[str] | None = None,
    preset: str | None = None,
    out: str | Path | None = None,
    show_dir: str | Path | None = None,
    launcher: str = 'none',
    cfg_options: dict | None = None,
    backend: str = BASELINE,
    precision: str = 'fp32',
) -> dict[str, float]:
    """Evaluate a detector on the test set of a config, or of a folder of yours.

    Args:
        config: Config, its path, or the name of one that comes with mmeff. The copy
            that training leaves in its work dir knows its data already.
        checkpoint: Weights that fit the whole model; or what `mmeff.deploy.export`
            wrote, for a backend that runs ONNX ('auto': ONNX Runtime).
        work_dir: Folder for logs; `work_dirs/<config>` by default.
        data: As for `train`.
        classes: As for `train`.
        preset: As for `train`.
        out: File (.pkl) for the raw predictions, in mmdet's form.
        show_dir: Folder for pictures of predictions beside the ground truth.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        cfg_options: Settings to override, with dotted keys.
        backend: What runs the networks, one of `mmeff.deploy.choose.NAMES`; 'auto': the
            fastest that agrees with mmdet.
        precision: Of the backend: 'fp32', 'bf16' or 'fp16'.

    Returns:
        The metrics by name, 0 to 1, such as `coco/bbox_mAP`; also written to
        `<work_dir>/metrics.json`, of another backend than mmdet to
        `metrics__<backend>__<precision>.json`.

    Raises:
        UserError: Config, data, checkpoint or backend are wrong.
    """
    if backend != AUTO:
        expand([backend])
    if backend == BASELINE and (precision != 'fp32' or is_exported(checkpoint)):
        what = f'{checkpoint}, {precision}'
        raise UserError(f'{what}: mmdet tests checkpoints in fp32; name a --backend')
    if out is not None and Path(out).suffix not in ('.pkl', '.pickle'):
        raise UserError(f'--out {out}: expected a name that ends in .pkl')
    cfg = load_config(config, cfg_options, preset)
    cfg = prepare(cfg, work_dir, data, classes, cfg_options, launcher)
    cfg.load_from, cfg.resume = None, False
    if show_dir is not None:
        cfg.default_hooks.visualization.update(draw=True, test_out_dir=str(show_dir))
    runner = build_runner(cfg)
    exported = checkpoint if is_exported(checkpoint) else None
    if exported is None:
        load_detector_weights(_detector(runner), str(checkpoint))
    if backend != BASELINE:
        backend = _use_backend(runner, backend, precision, exported)
        precision = 'fp32' if backend == BASELINE else precision
    if out is not None:
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=str(out)))
    with friendly_errors():
        metrics = runner.test()
    if is_main_process():
        _write(metrics, cfg, checkpoint, backend, precision)
    return metrics


def _write(
    metrics: dict, cfg: Config, checkpoint: str | Path, backend: str, precision: str
) -> None:
    result = {
        'config': Path(cfg.filename).stem,
        'checkpoint': str(checkpoint),
        'checkpoint_sha256': _digest(checkpoint),
        'backend': backend,
        'precision': precision,
        # NaN is what a class without objects has
        'metrics': {
            name: float(value) if isfinite(value) else None
            for name, value in metrics.items()
        },
    }
    apart = '' if backend == BASELINE else f'__{backend}__{precision}'
    write_result(result, cfg.work_dir, f'metrics{apart}.json')


def _digest(checkpoint: str | Path) -> str | None:
    """Of the weights, so that results of an exported file join those of its source."""
    known = weights_sha256(checkpoint) if is_exported(checkpoint) else None
    return known or file_sha256(checkpoint)


def _detector(runner: Runner) -> nn.Module:
    """Without what wraps it in a distributed run."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _use_backend(
    runner: Runner, backend: str, precision: str, exported: str | Path | None
) -> str:
    """Let the test steps of a runner's model be run by a backend; returns its name.

    The model stays where it is: hooks of the runner may want its parameters.
    """
    model = _detector(runner)
    model.eval().cfg = runner.cfg
    with friendly_errors():
        model.dataset_meta = runner.test_dataloader.dataset.metainfo
    if backend == AUTO:
        backend = 'onnxruntime' if exported else _fastest(model, precision)
    fast = build_backend(
        model,
        backend,
        make_batch(runner.cfg),
        precision=precision,
        exported=exported,
    )
    if fast is not model:
        # a function, for hooks copy the model, and functions are not copied with it
        model.test_step = lambda data: fast.test_step(data)
    return backend


def _fastest(model: nn.Module, precision: str) -> str:
    """What the first process finds to be the fastest, for all processes."""
    names = [choose(model, precision=precision)[0] if is_main_process() else None]
    broadcast_object_list(names)
    return names[0]
