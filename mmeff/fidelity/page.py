"""The fidelity report as Markdown."""

from collections.abc import Iterable
from decimal import Decimal

import torch

from mmeff.fidelity.check import UNITS, Result
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
    lines = [HEAD]
    for family, rows in results.items():
        lines += [f'## {family}', '', _line(COLUMNS), _line(['---'] * len(COLUMNS))]
        notes = []
        for result in rows:
            lines.append(_line(_cells(result, notes)))
        lines.append('')
        lines += [f'{number}. {note}' for number, note in enumerate(notes, 1)]
        lines += [''] if notes else []
    return '\n'.join(lines).rstrip() + '\n'


def _cells(result: Result, notes: list[str]) -> list[str]:
    row = result.row
    name = row.name if row.size == 224 else f'{row.name} ({row.size} px)'
    if row.note:
        if row.note not in notes:
            notes.append(row.note)
        name += f' [{notes.index(row.note) + 1}]'
    params, macs = row.published
    return [
        name,
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
