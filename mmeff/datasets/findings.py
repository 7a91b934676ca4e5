"""What to do with a defect of the data: refuse the data, or collect it and go on.

The readers tell every defect that they meet to one of the two, so that the check before
training and `tools/check_data.py` know the same rules.
"""

from collections import Counter
from dataclasses import dataclass

from mmeff.errors import UserError, escape

MAX_KEPT = 1000  # defects of one kind that are listed; all are counted


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong.

    Args:
        kind: What it is, in the words of `docs/data.md`: 'missing image', 'bad mask', ...
        file: File that is wrong.
        place: Where in the file: 'annotation 17', 'object 3', 'line 4', or ''.
        reason: What was found there.
    """

    kind: str
    file: str
    place: str
    reason: str

    def __str__(self) -> str:
        where = f'{self.file}, {self.place}' if self.place else self.file
        return escape(f'{where}: {self.reason}')


class Strict:
    """Stops at the first defect that no training should start with."""

    thorough = False
    decode = False

    def refuse(self, message: str, *defects: Defect) -> None:
        """Tell defects that end a training.

        Raises:
            UserError: Always, with the message.
        """
        raise UserError(message)

    def note(self, kind: str, file: object, place: str, reason: str) -> None:
        """Tell a defect that training copes with; it is not looked at here."""


class Findings(Strict):
    """Keeps all defects, so that the readers go on after each.

    Args:
        decode: Decode all pixels of all images, not only their headers and ends.
        max_kept: Number of defects of a kind to keep; the others are only counted.
    """

    thorough = True

    def __init__(self, decode: bool = False, max_kept: int = MAX_KEPT) -> None:
        self.decode = decode
        self.max_kept = max_kept
        self.totals: Counter[str] = Counter()
        self.defects: list[Defect] = []

    def refuse(self, message: str, *defects: Defect) -> None:
        """Keep the defects; the message is for those who stop there."""
        for defect in defects:
            self._add(defect)

    def note(self, kind: str, file: object, place: str, reason: str) -> None:
        """Keep a defect."""
        self._add(Defect(kind, str(file), place, reason))

    def _add(self, defect: Defect) -> None:
        self.totals[defect.kind] += 1
        if self.totals[defect.kind] <= self.max_kept:
            self.defects.append(defect)


STRICT = Strict()
