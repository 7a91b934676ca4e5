"""Curves of trainings: losses and accuracies over epochs, or over time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmeff.errors import UserError
from mmeff.whole_file import whole_file

AXES = {'epoch': 'epoch', 'minutes': 'minutes of training'}
KEYS = ('loss', 'coco/bbox_mAP_50', 'coco/bbox_mAP')


@dataclass
class Run:
    """What a work dir says about its training.

    Attributes:
        points: For each key its values by epoch, losses as they were at its end.
        minutes: Time spent in training iterations up to the end of each epoch; without
            validation, and without what was lost when a training was interrupted.
    """

    points: dict[str, dict[int, float]] = field(default_factory=dict)
    minutes: dict[int, float] = field(default_factory=dict)


def read_run(work_dir: str | Path) -> Run:
    """Read the logs that mmengine leaves in a work dir; later starts of it win.

    Raises:
        UserError: There are no logs.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise UserError(
            f'{work_dir}: no logs of a training (*/vis_data/scalars.json); expected the '
            '--work-dir of a training'
        )
    run, times, steps = Run(), {}, {}
    for file in files:
        own = {}  # an epoch that is trained again counts once
        for entry in _entries(file):
            trained = 'epoch' in entry  # of a validation the step is the epoch
            epoch = int(entry['epoch' if trained else 'step'])
            for key, value in entry.items():
                run.points.setdefault(key, {})[epoch] = value
            if trained:
                own.setdefault(epoch, []).append(entry.get('time', 0.0))
                steps[epoch] = int(entry['step'])
        times.update(own)
    seconds = before = 0.0
    for epoch in sorted(times):
        seconds += (steps[epoch] - before) * sum(times[epoch]) / len(times[epoch])
        before = steps[epoch]
        run.minutes[epoch] = seconds / 60
    return run


def _entries(file: Path) -> list[dict]:
    """Lines of a log; a line that was cut off when the training died is left out."""
    entries = []
    for line in file.read_text('utf-8').splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and 'step' in entry:
            entries.append(entry)
    return entries


def plot_curves(
    work_dirs: Sequence[str | Path],
    out: str | Path,
    keys: Sequence[str] = KEYS,
    legend: Sequence[str] | None = None,
    axis: str = 'epoch',
) -> list[str]:
    """Draw one panel a key, one line a training.

    Args:
        work_dirs: Of the trainings.
        out: Picture to write, its format by its suffix.
        keys: What to draw, as mmengine's logs name it.
        legend: Names of the trainings; by default those of the folders.
        axis: 'epoch' or 'minutes'.

    Returns:
        Keys that no training has, which are left out.

    Raises:
        UserError: No logs, none of the keys in them, or `out` cannot be written.
    """
    runs = [read_run(work_dir) for work_dir in work_dirs]
    names = legend or [Path(work_dir).resolve().name for work_dir in work_dirs]
    if len(names) != len(runs):
        raise UserError(f'--legend: {len(names)} names for {len(runs)} trainings')
    drawn = [key for key in keys if any(key in run.points for run in runs)]
    if not drawn:
        known = sorted({key for run in runs for key in run.points})
        raise UserError(f'none of {", ".join(keys)} in the logs; they have {known}')
    figure = _figure(runs, names, drawn, axis)
    try:
        with whole_file(out) as file:
            figure.savefig(file, dpi=120)
    except (OSError, ValueError) as error:
        raise UserError(f'cannot write {out}: {error}') from error
    return [key for key in keys if key not in drawn]


def _figure(runs: Sequence[Run], names: Sequence[str], keys: Sequence[str], axis: str):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(keys), 3.4), layout='constrained')
    panels = figure.subplots(1, len(keys), squeeze=False)[0]
    for panel, key in zip(panels, keys, strict=True):
        for run, name in zip(runs, names, strict=True):
            points = sorted(run.points.get(key, {}).items())
            if axis == 'minutes':
                points = [(run.minutes[e], v) for e, v in points if e in run.minutes]
            mark = 'o' if 1 < len(points) <= 40 else ''
            panel.plot(*zip(*points, strict=True), label=name, marker=mark, ms=3)
        panel.set_title(key)
        panel.set_xlabel(AXES[axis])
        panel.grid(alpha=0.3)
    panels[0].legend()
    return figure
