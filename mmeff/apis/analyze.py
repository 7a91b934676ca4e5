"""Analyse a file of predictions: what is found, what is not, and which errors cost most."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmeff.errors import UserError
from mmeff.evaluation.assignment import assign_by_class
from mmeff.evaluation.coco import RECALLS, CocoScores, evaluate
from mmeff.evaluation.confusion import confusion_matrix
from mmeff.evaluation.curves import Curve, curve
from mmeff.evaluation.errors import Errors, find_errors
from mmeff.evaluation.read import Inputs, read_inputs
from mmeff.reporting.analysis import write_figures
from mmeff.reporting.analysis_page import make_analysis_page
from mmeff.whole_file import whole_file

FORMAT_VERSION = 1
THRESHOLD = 0.5  # of the overlap, for all but AP
SCORES = np.linspace(0, 1, 101)  # at which F1 is drawn
STATS = ('AP', 'AP50', 'AP75', 'AP_s', 'AP_m', 'AP_l')
STATS += ('AR@1', 'AR@10', 'AR@100', 'AR_s', 'AR_m', 'AR_l')


@dataclass(frozen=True)
class Analysed:
    """Numbers as plain data, and the files that were written."""

    content: dict
    files: tuple[Path, ...]


def analyze(
    predictions: str | Path,
    ground_truth: str | Path,
    out: str | Path,
    score: float | None = None,
) -> Analysed:
    """Compare predicted boxes with the ground truth.

    Args:
        predictions: COCO results, or the predictions.json of `predict`.
        ground_truth: COCO annotation file.
        out: Folder for analysis.json, analysis.html and PNG figures.
        score: From which detections count in the confusion matrix; by default the one
            with the greatest F1 of all classes together.

    Raises:
        UserError: A file cannot be used, or `out` cannot be written.
    """
    inputs = read_inputs(predictions, ground_truth)
    num_labels = len(inputs.classes)
    assignment = assign_by_class(inputs.truth, inputs.found, THRESHOLD)
    curves = [curve(assignment, label) for label in range(num_labels)]
    together = curve(assignment)
    if together is None:
        raise UserError(f'{ground_truth}: has no objects to find')
    if score is None:
        best = together.best()
        score = 0.0 if best is None else float(together.scores[best])
    scores = evaluate(inputs.truth, inputs.found, num_labels)
    matrix = confusion_matrix(inputs.truth, inputs.found, num_labels, score, THRESHOLD)
    content = {
        'format_version': FORMAT_VERSION,
        'predictions': str(predictions),
        'ground_truth': str(ground_truth),
        'images': inputs.num_images,
        'notes': list(inputs.notes),
        'iou_threshold': THRESHOLD,
        'stats': _numbers(zip(STATS, scores.stats(), strict=True)),
        'all': _row('all', inputs, together, scores, slice(None)),
        'classes': [
            _row(name, inputs, curves[label], scores, label)
            for label, name in enumerate(inputs.classes)
        ],
        'curves': _curves(inputs.classes, curves, scores),
        'confusion': {'score': score, 'matrix': matrix.tolist()},
        'errors': _errors(find_errors(assignment, THRESHOLD)),
    }
    return Analysed(content, tuple(_write(content, Path(out))))


def _row(
    name: str, inputs: Inputs, own: Curve | None, scores: CocoScores, label: int | slice
) -> dict:
    """A line of the table; numbers that a class without objects has not are None."""
    truth, found = inputs.truth, inputs.found
    chosen = slice(None) if isinstance(label, slice) else truth.label == label
    counted = slice(None) if isinstance(label, slice) else found.label == label
    row = {'name': name, 'objects': int((~truth.ignored)[chosen].sum())}
    row |= {'ignored': int(truth.ignored[chosen].sum())}
    row |= {'detections': len(found.scores[counted])}
    row |= _numbers(
        [('ap', scores.ap(label=label)), ('ap50', scores.ap(0.5, label=label))]
    )
    best = None if own is None else own.best()
    for key in ('scores', 'precision', 'recall', 'f1'):
        value = None if best is None else float(getattr(own, key)[best])
        row['best_score' if key == 'scores' else key] = value
    return row


def _numbers(pairs) -> dict[str, float | None]:
    """COCO's -1, no number, becomes None."""
    return {key: None if value == -1 else float(value) for key, value in pairs}


def _curves(classes: tuple[str, ...], curves: list, scores: CocoScores) -> dict:
    """Precision over recall at the IoU 0.5, and F1 over the score, of each class."""
    known = [label for label, own in enumerate(curves) if own is not None]
    precision = scores.precision[0, :, known, 0, -1]
    f1 = [curves[label].f1_at(SCORES) for label in known]
    return {
        'classes': [classes[label] for label in known],
        'recall': RECALLS.tolist(),
        'precision': precision.tolist(),
        'score': SCORES.tolist(),
        'f1': [values.tolist() for values in f1],
    }


def _errors(errors: Errors) -> dict:
    costs = {**errors.costs}
    costs |= {'false positives': errors.false_positives}
    costs |= {'false negatives': errors.false_negatives}
    return {'counts': errors.counts, 'costs_ap50': costs}


def _write(content: dict, out: Path) -> list[Path]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        figures = write_figures(content, out)
        data, page = out / 'analysis.json', out / 'analysis.html'
        with whole_file(data) as file:
            file.write_text(json.dumps(content, indent=1, allow_nan=False), 'utf-8')
        with whole_file(page) as file:
            file.write_text(make_analysis_page(content, figures), 'utf-8')
    except OSError as error:
        raise UserError(f'cannot write {out}: {error.strerror}') from error
    return [page, data, *figures]
