"""Whether backends find in real images what mmdet's own way finds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mmengine.config import Config

from mmeff.checkpoints.detector import build_detector
from mmeff.checkpoints.safe import file_sha256
from mmeff.config import load_config
from mmeff.datasets.files import write_json
from mmeff.deploy.agreement import Agreement, Comparison, cuts_of
from mmeff.deploy.choose import ALL, BASELINE, build_backends
from mmeff.deploy.media import Input, find_sources
from mmeff.deploy.stream import DetectionStream
from mmeff.errors import UserError
from mmeff.profiling.inputs import make_batch
from mmeff.profiling.precision import torch_settings


@dataclass(frozen=True)
class Outcome:
    """What was compared.

    Attributes:
        precision: Of the backends.
        agreements: With mmdet's own way, by the names of the backends.
        refused: Why the others were left out.
    """

    precision: str
    agreements: dict[str, Agreement]
    refused: dict[str, str]

    @property
    def agrees(self) -> bool:
        """Whether all of them do."""
        return all(a.agrees(self.precision) for a in self.agreements.values())


def agreement(
    config: str | Path | Config,
    checkpoint: str | Path,
    inputs: Input | Sequence[Input],
    backends: Sequence[str] = (ALL,),
    *,
    precision: str = 'fp32',
    threads: int | None = None,
    device: str | None = None,
    cfg_options: dict | None = None,
    out: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Run mmdet's own way and backends over the same images, one by one, and compare.

    Args:
        config: Config, its path, or the name of one that comes with mmeff.
        checkpoint: Weights of the detector.
        inputs: As for `mmeff.apis.predict.predict`.
        backends: Names of `mmeff.deploy.choose.NAMES`; 'all' for all that can be used.
        precision: Of the backends: 'fp32', 'bf16' or 'fp16'.
        threads: Of an operator on a CPU; torch's own choice by default.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.
        cfg_options: Settings of the config to override, with dotted keys.
        out: JSON file for the numbers.
        progress: Hears what is going on.

    Raises:
        UserError: Config, checkpoint or inputs are wrong, or no backend can be used.
    """
    tell = progress or (lambda _: None)
    sources = find_sources(inputs)
    cfg = load_config(config, cfg_options)
    with torch_settings('fp32', threads):
        model = build_detector(cfg, checkpoint, device)
        place = str(next(model.parameters()).device)
        detectors, refused = build_backends(
            model,
            backends,
            data=make_batch(cfg),
            precision=precision,
            threads=threads,
            progress=tell,
        )
        detectors.pop(BASELINE, None)
        if not detectors:
            reasons = '; '.join(refused.values())
            raise UserError(f'no backend to compare with mmdet. {reasons}'.strip())
        comparisons = {name: Comparison(cuts_of(cfg), precision) for name in detectors}
        streams = [DetectionStream(each) for each in (model, *detectors.values())]
        runs = zip(*(stream.detect(sources) for stream in streams), strict=True)
        for number, ((frame, expected), *found) in enumerate(runs, 1):
            for comparison, (_, sample) in zip(
                comparisons.values(), found, strict=True
            ):
                comparison.add(sample, expected)
            tell(f'{number} images, {frame.name}')
    agreements = {name: each.result() for name, each in comparisons.items()}
    outcome = Outcome(precision, agreements, refused)
    if out is not None:
        _write(Path(out), cfg, checkpoint, place, outcome)
    return outcome


def _write(
    file: Path, cfg: Config, checkpoint: str | Path, device: str, outcome: Outcome
) -> None:
    content = {
        'config': Path(cfg.filename or 'config').stem,
        'checkpoint': str(checkpoint),
        'checkpoint_sha256': file_sha256(checkpoint),
        'device': device,
        'precision': outcome.precision,
        'backends': {
            name: {**asdict(each), 'agrees': each.agrees(outcome.precision)}
            for name, each in outcome.agreements.items()
        },
        'refused': outcome.refused,
    }
    try:
        write_json(file, content)
    except OSError as error:
        raise UserError(f'cannot write {file}: {error.strerror}') from error
