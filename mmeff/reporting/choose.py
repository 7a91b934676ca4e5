"""Pick a model for a latency: by MnasNet's objective, and from the Pareto front.

MnasNet (sec. 3.1) ranks by ACC x (LAT / T)^w, with one exponent w = -0.07 on both sides
of the target T: doubling the latency is worth it for 5 % more accuracy. EfficientNet-B0
was found with the same w, on FLOPs in place of latency (EfficientNet, sec. 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmeff.errors import UserError
from mmeff.reporting.columns import LATENCY, Column, format_number, main_accuracy
from mmeff.reporting.rows import Report, Row, Setup

EXPONENT = -0.07
RUNNERS_UP = 3
NO_CHOICE = (
    'no model to choose: none has both accuracy and latency. Evaluate the weights with '
    'tools/test.py, measure the same weights with tools/benchmark.py --checkpoint, and '
    'give both results to the report'
)


@dataclass(frozen=True)
class Candidate:
    """A model with its accuracy (0 to 100), latency and MnasNet objective."""

    row: Row
    accuracy: float
    latency_ms: float
    objective: float

    @property
    def text(self) -> str:
        return f'{self.row.name} ({self.accuracy:.1f}, {_ms(self.latency_ms)})'


@dataclass(frozen=True)
class Choice:
    """What to take of one setup.

    Attributes:
        target_ms: Latency of a run that is asked for.
        accuracy: Column that ranks.
        by_objective: Models by MnasNet's objective, the best first.
        by_accuracy: Models within the target by accuracy, the best first.
    """

    setup: Setup
    target_ms: float
    accuracy: Column
    by_objective: tuple[Candidate, ...]
    by_accuracy: tuple[Candidate, ...]

    def sentences(self) -> list[str]:
        """The two choices and why."""
        return [self._objective_sentence(), self._pareto_sentence()]

    def _objective_sentence(self) -> str:
        best, *others = self.by_objective
        rest = ', '.join(f'{c.row.name} {c.objective:.2f}' for c in others[:RUNNERS_UP])
        over = best.latency_ms > self.target_ms
        beyond = ' (beyond the target, which this objective permits)' if over else ''
        return (
            f'MnasNet objective: {best.row.name}, because {self.accuracy.title} '
            f'{best.accuracy:.1f} x ({_ms(best.latency_ms)} / {_ms(self.target_ms)})'
            f'^{EXPONENT} = {best.objective:.2f} is the highest of '
            f'{_count(len(self.by_objective), "model")}{beyond}'
            + (f'; then {rest}.' if rest else '.')
        )

    def _pareto_sentence(self) -> str:
        if not self.by_accuracy:
            fastest = min(self.by_objective, key=lambda c: c.latency_ms)
            return (
                f'Pareto front: none, because no model takes {_ms(self.target_ms)} or '
                f'less; the fastest is {fastest.text}.'
            )
        best, *others = self.by_accuracy
        rest = ', '.join(candidate.text for candidate in others[:RUNNERS_UP])
        return (
            f'Pareto front: {best.row.name}, because {self.accuracy.title} '
            f'{best.accuracy:.1f} is the highest of '
            f'{_count(len(self.by_accuracy), "model")} that '
            f'take{"s" if len(self.by_accuracy) == 1 else ""} {_ms(self.target_ms)} or '
            f'less (it takes {_ms(best.latency_ms)})'
            + (f'; then {rest}.' if rest else '.')
        )


def choose(
    report: Report,
    target_latency_ms: float | None = None,
    target_fps: float | None = None,
) -> list[Choice]:
    """Choose in each setup that has models with both accuracy and latency.

    Args:
        report: What was measured.
        target_latency_ms: Of a run in the region `detect`.
        target_fps: Images per second; with a batch a run takes batch / FPS.

    Returns:
        Nothing if no model has both; `NO_CHOICE` is for this case.

    Raises:
        UserError: Both targets, or one that is not positive.
    """
    given = [target for target in (target_latency_ms, target_fps) if target is not None]
    if len(given) != 1 or not 0 < given[0] < float('inf'):
        raise UserError(
            f'target latency {target_latency_ms} ms, target FPS {target_fps}: expected '
            'one of them, and a positive number'
        )
    choices = []
    for setup, rows in report.groups():
        accuracy = main_accuracy(rows)
        if setup is None or accuracy is None:
            continue
        target_ms = target_latency_ms or 1000 * setup.batch / target_fps
        candidates = _candidates(rows, accuracy, target_ms)
        if candidates:
            choices.append(_choice(setup, target_ms, accuracy, candidates))
    return choices


def objective(accuracy: float, latency_ms: float, target_ms: float) -> float:
    """MnasNet's objective with a soft target.

    >>> round(objective(40, 20, 10), 2)
    38.11
    """
    return accuracy * (latency_ms / target_ms) ** EXPONENT


def _candidates(
    rows: Sequence[Row], accuracy: Column, target_ms: float
) -> list[Candidate]:
    found = []
    for row in rows:
        precision, latency = accuracy.value(row), LATENCY.value(row)
        if precision is not None and latency:
            score = objective(precision, latency, target_ms)
            found.append(Candidate(row, precision, latency, score))
    return found


def _choice(setup, target_ms, accuracy, candidates: list[Candidate]) -> Choice:
    within = [c for c in candidates if c.latency_ms <= target_ms]
    return Choice(
        setup=setup,
        target_ms=target_ms,
        accuracy=accuracy,
        by_objective=tuple(sorted(candidates, key=lambda c: -c.objective)),
        # of equally accurate ones only the fastest is on the front
        by_accuracy=tuple(sorted(within, key=lambda c: (-c.accuracy, c.latency_ms))),
    )


def _ms(milliseconds: float) -> str:
    return f'{format_number(milliseconds, 2)} ms'


def _count(number: int, word: str) -> str:
    return f'{number} {word}' if number == 1 else f'{number} {word}s'
