"""The quantities of a report: where they are in a file, their unit, what is better.

In the order of the tables of the VoVNet papers: size, cost, energy, speed, accuracy.
"""

from dataclasses import dataclass
from math import isfinite

from mmeff.reporting.rows import Row, number

DETECT = 'latency_detect_ms'


@dataclass(frozen=True)
class Column:
    """A quantity.

    Attributes:
        title: With its unit.
        path: Keys into the metrics of a row.
        digits: Decimals that are shown; small numbers get two digits at least.
        best: 'high' or 'low', where the better values are.
        factor: From the file's unit to the shown one.
        evaluated: Comes from an evaluation, not from a benchmark.
    """

    title: str
    path: tuple[str, ...]
    digits: int
    best: str = 'low'
    factor: float = 1
    evaluated: bool = False

    @property
    def key(self) -> str:
        """Short name for files and pages, such as `latency_detect_ms.p90`."""
        return '.'.join(self.path)

    @property
    def short(self) -> str:
        """The title without the unit."""
        return self.title.partition(' (')[0]

    def value(self, row: Row) -> float | None:
        """The number in the shown unit, None if there is none.

        COCO's metrics say -1 where the ground truth has no object of a kind.
        """
        value = number(row.metrics, *self.path)
        if value is None or (self.evaluated and value < 0):
            return None
        value *= self.factor
        return value if isfinite(value) else None

    def text(self, row: Row) -> str | None:
        value = self.value(row)
        return None if value is None else format_number(value, self.digits)

    def reason(self, row: Row) -> str:
        """Why there is no number."""
        if self.evaluated:
            if number(row.metrics, *self.path) is not None:
                return 'the test set has no ground truth for it'
            if row.weights is None:
                return 'measured with random weights'
            if row.evaluated:
                return 'the evaluation does not have this metric'
            return 'no evaluation of these weights among the files'
        if row.benchmark is None:
            return 'no benchmark of these weights among the files'
        reasons = row.metrics.get('reasons')
        reason = reasons.get(self.path[0]) if isinstance(reasons, dict) else None
        return str(reason) if reason else 'not in the file'


def format_number(value: float, digits: int) -> str:
    """Fixed decimals, but never fewer than two digits that say something.

    >>> format_number(12.345, 1), format_number(0.00123, 1), format_number(0, 1)
    ('12.3', '0.0012', '0.0')
    """
    if value and abs(value) < 10 ** (1 - digits):
        return f'{value:.2g}'
    return f'{value:.{digits}f}'


def _accuracy(title: str, key: str) -> Column:
    """Accuracies are 0 to 1 in files and 0 to 100 in tables."""
    return Column(title, (key,), 1, 'high', 100, True)


COLUMNS = (
    Column('params (M)', ('params_m',), 2),
    Column('GMACs', ('macs_g',), 2),
    Column('memory access (M)', ('memory_access_m',), 1),
    Column('activations (M)', ('activations_m',), 1),
    Column('peak memory (MiB)', ('peak_allocated_mb',), 0),
    Column('peak RSS (MiB)', ('peak_rss_mb',), 0),
    Column('energy (J/img)', ('energy_j_per_img',), 3),
    Column('GFLOP/s', ('gflops_per_s',), 1, 'high'),
    Column('latency (ms)', (DETECT, 'mean'), 2),
    Column('median (ms)', (DETECT, 'median'), 2),
    Column('p90 (ms)', (DETECT, 'p90'), 2),
    Column('p99 (ms)', (DETECT, 'p99'), 2),
    Column('FPS', ('fps',), 1, 'high'),
    Column('x mmdet', ('speedup_detect',), 2, 'high'),
    Column('pipeline (ms)', ('latency_pipeline_ms', 'mean'), 2),
    Column('x mmdet, pipeline', ('speedup_pipeline',), 2, 'high'),
    Column('API (ms)', ('latency_api_ms', 'mean'), 2),
    Column('x mmdet, API', ('speedup_api',), 2, 'high'),
    Column('roofline (%)', ('roofline_share',), 0, 'high', 100),
    _accuracy('box AP', 'coco/bbox_mAP'),
    _accuracy('box AP50', 'coco/bbox_mAP_50'),
    _accuracy('mask AP', 'coco/segm_mAP'),
    _accuracy('VOC AP50', 'pascal_voc/mAP'),
)
BY_KEY = {column.key: column for column in COLUMNS}
LATENCY = BY_KEY[f'{DETECT}.mean']
ACCURACIES = tuple(column for column in COLUMNS if column.evaluated)


def with_data(rows: list[Row]) -> list[Column]:
    """Columns of which at least one row has a number."""
    return [c for c in COLUMNS if any(c.value(row) is not None for row in rows)]


def main_accuracy(rows: list[Row]) -> Column | None:
    """The accuracy that most rows have, box AP among equals; None without any."""
    known = {c: sum(c.value(row) is not None for row in rows) for c in ACCURACIES}
    best = max(ACCURACIES, key=known.__getitem__)
    return best if known[best] else None
