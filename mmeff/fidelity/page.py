"""The fidelity reports as Markdown."""

from collections.abc import Callable, Iterable
from decimal import Decimal

import torch

from mmeff.fidelity.check import UNITS, Result
from mmeff.fidelity.detectors import DetectorResult
from mmeff.fidelity.speed import Speed

HEAD = """# Fidelity

Written by `python tools/verify.py`; do not edit. Every network is built in its classifier
form and counted without running it on data.

- **parameters**: learnable weights, to the unit. **multiply-adds**: of convolutions and
  linear layers, one image of the size given (224 unless said).
- **published**: as the paper prints it; behind it how much ours differs.
- **float32**, **float64**: largest difference of the logits from the named library's
  network with the same random weights and statistics, over the largest logit; in eval and
  training mode, images of 64x96 and 75x117. The weights go through the loader that takes
  published files. A dash: no public library has the network; the note says what stands in.
"""
COLUMNS = (
    'network',
    'parameters',
    'published',
    'multiply-adds',
    'published',
    'float32',
    'float64',
    'compared with',
)
DETECTOR_HEAD = """# Fidelity of the detectors

Written by `python tools/verify.py --detectors`; do not edit. Every detector is built from
its config and counted without running it on data.

- **parameters**: learnable weights, to the unit. **multiply-adds**: of convolutions and
  linear layers in backbone, neck and heads, one square image of the side given; no
  decoding, no NMS. With two stages the box head works on as many proposals as the config
  keeps (1000 an image), the mask head on as many boxes (100).
- **published**: as the source prints it; behind it how much ours differs.
- **shares**: of the parameters and of the multiply-adds that each part has.
"""
DETECTOR_COLUMNS = (
    'detector',
    'config',
    'pixels',
    'parameters',
    'published',
    'multiply-adds',
    'published',
    'shares',
)
SPEED_HEAD = """# Throughput beside timm and torchvision

Written by `python tools/verify.py --speed`; do not edit. Time of the reference over ours,
the same random weights, taking turns: above 1 mmeff is the faster one. Median over {rounds}
pairs of turns, quartiles in brackets.

- inference: eval mode, no gradients; training: forward and backward pass.
- eager: contiguous; channels_last: eager; compile: `torch.compile` on channels_last.

{environment}
"""


def fidelity_page(results: dict[str, list[Result]]) -> str:
    """Markdown of all results by family."""
    return _page(HEAD, COLUMNS, results, _cells)


def detectors_page(results: dict[str, list[DetectorResult]]) -> str:
    """Markdown of all detectors by family."""
    return _page(DETECTOR_HEAD, DETECTOR_COLUMNS, results, _detector_cells)


def _page(head: str, columns: Iterable[str], results: dict, cells: Callable) -> str:
    lines = [head]
    for family, rows in results.items():
        lines += [f'## {family}', '', _line(columns), _line(['---'] * len(columns))]
        notes = []
        for result in rows:
            lines.append(_line(cells(result, notes)))
        lines.append('')
        lines += [f'{number}. {note}' for number, note in enumerate(notes, 1)]
        lines += [''] if notes else []
    return '\n'.join(lines).rstrip() + '\n'


def _detector_cells(result: DetectorResult, notes: list[str]) -> list[str]:
    row = result.row
    params, macs = row.published
    return [
        _noted(row.name, row.note, notes),
        f'`{row.config}`' + (' with changes' if row.options else ''),
        str(row.size),
        f'{result.params:,}',
        published(params, result.params),
        row.macs,
        published(macs, result.macs),
        shares(result),
    ]


def shares(result: DetectorResult) -> str:
    """What each part has of the parameters and of the MACs: 'neck 7%, 22%; ...'."""
    return '; '.join(
        f'{path} {params / result.params:.0%}, {macs / result.macs:.0%}'
        for path, (params, macs) in result.parts.items()
    )


def _noted(name: str, note: str, notes: list[str]) -> str:
    """The name with the number of its note, which is added to the notes once."""
    if not note:
        return name
    if note not in notes:
        notes.append(note)
    return f'{name} [{notes.index(note) + 1}]'


def _cells(result: Result, notes: list[str]) -> list[str]:
    row = result.row
    name = row.name if row.size == 224 else f'{row.name} ({row.size} px)'
    params, macs = row.published
    return [
        _noted(name, row.note, notes),
        f'{result.params:,}',
        published(params, result.params),
        row.macs,
        published(macs, result.macs),
        difference(result, torch.float32),
        difference(result, torch.float64),
        f'{row.reference}' if row.reference else '-',
    ]


def published(printed: str | None, count: int) -> str:
    """A printed number and how far a count is from it: '5.2M (-0.3 %)'."""
    if printed is None:
        return '-'
    value = Decimal(printed[:-1]) * UNITS[printed[-1]]
    return f'{printed} ({100 * (count / float(value) - 1):+.1f} %)'


def difference(result: Result, dtype: torch.dtype) -> str:
    """A difference as it is printed; a dash without a reference."""
    if result.difference is None or dtype not in result.difference:
        return '-'
    value = result.difference[dtype]
    return f'{value:.0e}' if value else '0'


def speed_page(speeds: Iterable[Speed], environment: str) -> str:
    """Markdown of the comparison of speeds, one line a network."""
    by_row = {}
    for speed in speeds:
        by_row.setdefault(speed.row.name, []).append(speed)
    if not by_row:
        return ''
    first = next(iter(by_row.values()))
    columns = [f'{speed.mode}, {speed.direction}' for speed in first]
    lines = [SPEED_HEAD.format(rounds=len(first[0].ratios), environment=environment)]
    lines += [
        _line(['network', 'compared with', 'ms, eager inference', *columns]),
        _line(['---'] * (len(columns) + 3)),
    ]
    for name, row_speeds in by_row.items():
        cells = [
            f'{s.ratio:.2f} ({s.quartiles[0]:.2f} to {s.quartiles[1]:.2f})'
            for s in row_speeds
        ]
        head = [name, str(row_speeds[0].row.reference), f'{row_speeds[0].ours_ms:.1f}']
        lines.append(_line([*head, *cells]))
    return '\n'.join(lines) + '\n'


def _line(cells: Iterable[str]) -> str:
    return f'| {" | ".join(cells)} |'
