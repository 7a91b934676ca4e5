"""Evaluate a trained detector."""

from pathlib import Path

from mmdet.evaluation import DumpDetResults
from mmengine.dist import is_main_process

from mmeff.apis.runner import build_runner, friendly_errors, prepare
from mmeff.checkpoints.loading import load_detector_weights
from mmeff.checkpoints.safe import file_sha256
from mmeff.config import load_config
from mmeff.errors import UserError
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
) -> dict[str, float]:
    """Evaluate a detector on the test set of a config, or of a folder of yours.

    Args:
        config: Config, its path, or the name of one that comes with mmeff. The copy
            that training leaves in its work dir knows its data already.
        checkpoint: Weights that fit the whole model.
        work_dir: Folder for logs; `work_dirs/<config>` by default.
        data: As for `train`.
        classes: As for `train`.
        preset: As for `train`.
        out: File (.pkl) for the raw predictions, in mmdet's form.
        show_dir: Folder for pictures of predictions beside the ground truth.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        cfg_options: Settings to override, with dotted keys.

    Returns:
        The metrics, 0 to 1, such as `{'coco/bbox_mAP': 0.41, ...}`; also written to
        `<work_dir>/metrics.json`.

    Raises:
        UserError: Config, data or checkpoint are wrong.
    """
    if out is not None and Path(out).suffix not in ('.pkl', '.pickle'):
        raise UserError(f'--out {out}: expected a name that ends in .pkl')
    cfg = load_config(config, cfg_options, preset)
    cfg = prepare(cfg, work_dir, data, classes, cfg_options, launcher)
    cfg.load_from, cfg.resume = None, False
    if show_dir is not None:
        cfg.default_hooks.visualization.update(draw=True, test_out_dir=str(show_dir))
    runner = build_runner(cfg)
    load_detector_weights(runner.model, str(checkpoint))
    if out is not None:
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=str(out)))
    with friendly_errors():
        metrics = runner.test()
    if is_main_process():
        result = {
            'config': Path(cfg.filename).stem,
            'checkpoint': str(checkpoint),
            'checkpoint_sha256': file_sha256(checkpoint),
            'metrics': {name: float(value) for name, value in metrics.items()},
        }
        write_result(result, cfg.work_dir, 'metrics.json')
    return metrics
