"""Check a data set, draw its distributions, and write a report or a repaired copy."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from mmeff.datasets.check import Check, check_folder
from mmeff.datasets.check_figures import write_figures
from mmeff.datasets.files import write_json
from mmeff.datasets.repair import repair
from mmeff.errors import UserError


@dataclass
class DataCheck:
    """Result of `check_data`.

    Args:
        check: Counts and defects.
        files: Files that were written.
        changes: What the repaired copy has changed, a line for each kind of defect.
        left: The check of the repaired copy.
    """

    check: Check
    files: list[Path] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    left: Check | None = None


def check_data(
    path: str | Path,
    classes: list[str] | None = None,
    json_file: str | Path | None = None,
    out: str | Path | None = None,
    fix: str | Path | None = None,
    decode: bool = False,
) -> DataCheck:
    """Check a folder in COCO, VOC or YOLO layout.

    Args:
        path: Folder of the data set.
        classes: Classes that the table and the figures are of; all when None.
        json_file: File for the whole report.
        out: Folder for figures of the boxes.
        fix: Folder to make, for a repaired copy in COCO form.
        decode: Decode all pixels of all images.

    Raises:
        UserError: There are no data, or an output cannot be written.
    """
    result = DataCheck(check_folder(path, classes, decode))
    if json_file is not None:
        try:
            write_json(Path(json_file), _content(result.check))
        except OSError as error:
            raise UserError(f'{json_file}: cannot be written ({error})') from error
        result.files.append(Path(json_file))
    if out is not None:
        result.files += write_figures(result.check, out)
    if fix is not None:
        result.changes = repair(result.check, fix)
        result.left = check_folder(fix, decode=decode)
        result.files.append(Path(fix))
    return result


def _content(check: Check) -> dict:
    """The report for programs."""
    return {
        'root': str(check.root),
        'layout': check.layout,
        'splits': check.splits,
        'classes': [asdict(row) for row in check.classes],
        'totals': dict(check.totals),
        'defects': [asdict(defect) for defect in check.defects],
        'notes': check.notes,
    }
