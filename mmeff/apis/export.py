"""Export a detector from its config and checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.deploy import export

Tensors = dict[str, tuple[int | str, ...]]


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written; sizes that vary are given by their names."""

    path: Path
    inputs: Tensors
    outputs: Tensors

    @property
    def size_mb(self) -> float:
        return self.path.stat().st_size / 1e6


def export_detector(
    config: str | Path | Config,
    checkpoint: str | Path,
    out: str | Path,
    *,
    cfg_options: dict | None = None,
    progress: Callable[[str], None] | None = None,
    **options,
) -> list[ExportedFile]:
    """Write a detector as ONNX files, each checked against the detector.

    Args:
        config: Config, its path, or the name of one that comes with mmeff.
        checkpoint: Weights of the detector.
        out: A file ending in .onnx; for detectors with two stages a folder.
        cfg_options: Settings of the config to override, with dotted keys.
        progress: Called with a line on each step.
        **options: As for `mmeff.deploy.export`.

    Raises:
        UserError: Config or checkpoint are wrong, the detector cannot be exported so, or
            the result differs from it.
    """
    model = build_detector(load_config(config, cfg_options), checkpoint, 'cpu')
    files = export(model, out, checkpoint=checkpoint, progress=progress, **options)
    return [_describe(file) for file in files]


def _describe(file: Path) -> ExportedFile:
    import onnx

    graph = onnx.load(file).graph
    return ExportedFile(file, _tensors(graph.input), _tensors(graph.output))


def _tensors(values: list) -> Tensors:
    return {
        value.name: tuple(
            axis.dim_param or axis.dim_value
            for axis in value.type.tensor_type.shape.dim
        )
        for value in values
    }
