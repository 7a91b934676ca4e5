"""The model zoo in OpenMMLab's form, written from configs, tables and result files.

`model-index.yml` names one `metafile.yml` for each collection. mim, mmengine's `get_config`
and mmdet's `DetInferencer` read them; `docs/zoo.md` is for people. Every number in them
stands in another file of the repository, which is named beside it: counts come from the
tables of `mmeff.fidelity`, times and accuracies from the result files below `docs/results`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from mmengine.config import Config

from mmeff.errors import UserError
from mmeff.fidelity import DETECTORS
from mmeff.reporting.rows import BASELINE, Row, make_report, number
from mmeff.zoo.collections import COLLECTIONS, Collection, collection_of
from mmeff.zoo.page import PAGE, zoo_page

INDEX = 'model-index.yml'
HEAD = '# Written by `python tools/model_index.py`; do not edit.\n'
RESULTS = 'docs/results'
COUNTS_PAGE = 'docs/fidelity-detectors.md'
# The folder below docs/results/<machine> in which an evaluation lies: its data set.
DATA_SETS = {'bccd': 'BCCD', 'coco128': 'COCO128', 'shapes': 'Shapes (generated)'}
# Metrics of an evaluation: the task they belong to and their names in a metafile.
METRICS = {
    'Object Detection': {
        'box AP': 'coco/bbox_mAP',
        'box AP50': 'coco/bbox_mAP_50',
        'VOC AP50': 'pascal_voc/AP50',
    },
    'Instance Segmentation': {
        'mask AP': 'coco/segm_mAP',
        'mask AP50': 'coco/segm_mAP_50',
    },
}


def write_model_index(root: str | Path = '.') -> list[Path]:
    """Write `model-index.yml`, all metafiles and the page of the zoo.

    Args:
        root: A clone of mmeff.

    Returns:
        The files written.

    Raises:
        UserError: See `model_index`.
    """
    written = []
    for name, text in model_index(root).items():
        path = Path(root) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, 'utf-8')
        written.append(path)
    return written


def model_index(root: str | Path = '.') -> dict[str, str]:
    """Texts of `model-index.yml`, the metafiles and the page, by their paths below `root`.

    Raises:
        UserError: `root` is no clone of mmeff, a config belongs to no collection, or an
            evaluation lies in a folder that names no data set.
    """
    root = Path(root)
    configs = sorted(root.glob('configs/*.py'))
    if not configs or not (root / RESULTS).is_dir():
        raise UserError(
            f'{root.absolute()}: no configs/*.py or no {RESULTS}; expected a clone of mmeff'
        )
    rows = make_report([root / RESULTS]).rows
    collections, models = {}, {}
    for path in configs:
        cfg, collection = Config.fromfile(path), collection_of(path.stem)
        results = [row for row in rows if row.config == path.stem]
        collections.setdefault(collection, []).append(cfg)
        models.setdefault(collection, []).append(
            _model(root, path, cfg, collection, results)
        )
    found = [collection for collection in COLLECTIONS if collection in models]
    texts = {INDEX: _text({'Import': [collection.metafile for collection in found]})}
    for collection in found:
        content = {
            'Collections': [_collection(collection, collections[collection])],
            'Models': models[collection],
        }
        texts[collection.metafile] = _text(content)
    texts[PAGE] = zoo_page({each: models[each] for each in found})
    return texts


def _collection(collection: Collection, configs: list[Config]) -> dict:
    return {
        'Name': collection.name,
        'Metadata': {
            'Training Data': _unique(map(_training_data, configs)),
            'Architecture': _unique(name for cfg in configs for name in _parts(cfg)),
        },
        'Paper': {
            'URL': f'https://arxiv.org/abs/{collection.arxiv}',
            'Title': collection.title,
        },
        'README': f'docs/{collection.page}.md',
    }


def _parts(cfg: Config) -> Iterator[str]:
    """Classes of a detector: of itself, its backbone and its neck, without scopes."""
    for part in (cfg.model, cfg.model.backbone, cfg.model.neck):
        yield part.type.rpartition('.')[2]


def _model(
    root: Path, path: Path, cfg: Config, collection: Collection, results: list[Row]
) -> dict:
    metadata = {
        'Training Data': _training_data(cfg),
        'Epochs': cfg.train_cfg.max_epochs,
        'Batch Size': cfg.auto_scale_lr.base_batch_size,
        **_counts(path.name),
    }
    times = [_time(root, row) for row in results if row.benchmark is not None]
    if times := [time for time in times if time['value'] is not None]:
        metadata['inference time (ms/im)'] = times
    model = {
        'Name': path.stem,
        'In Collection': collection.name,
        'Config': f'configs/{path.name}',
        'Metadata': metadata,
    }
    accuracies = _accuracies(root, results)
    if accuracies:
        model['Results'] = accuracies
    # Said, not left out: mmengine's inferencers ask for the key.
    return {**model, 'Weights': None}


def _training_data(cfg: Config) -> str:
    """What the training loader reads, below its wrappers."""
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    return 'COCO' if dataset.type.endswith('CocoDataset') else 'VOC 07+12'


def _counts(config: str) -> dict:
    """Parameters and multiply-adds of the table that the tests confirm."""
    for row in (row for rows in DETECTORS.values() for row in rows):
        if row.config == config and not row.options:
            return {
                'Parameters': row.params,
                'MACs (G)': float(row.macs.removesuffix('G')),
                'Counted': {'resolution': _shape([row.size] * 2), 'file': COUNTS_PAGE},
            }
    return {}


def _time(root: Path, row: Row) -> dict:
    """Median time of an image. What random weights find, and so NMS, means nothing."""
    region = 'forward' if row.weights is None else 'detect'
    value = number(row.metrics, f'latency_{region}_ms', 'median')
    settings = row.benchmark['settings']
    return {
        'value': None if value is None else round(value, 2),
        'hardware': row.setup.device,
        'backend': 'PyTorch' if row.backend == BASELINE else row.backend,
        'batch size': row.setup.batch,
        'mode': row.setup.precision.upper(),
        'resolution': _shape(settings['image_shape']),
        'region': region,
        'file': _relative(root, row.files[0]),
    }


def _accuracies(root: Path, results: list[Row]) -> list[dict]:
    """One entry for each evaluation and task; benchmarks share evaluations."""
    found = {}
    for row in results:
        files = [
            _relative(root, file) for file in row.files[row.benchmark is not None :]
        ]
        for task, names in METRICS.items():
            values = {name: number(row.metrics, key) for name, key in names.items()}
            values = {k: round(100 * v, 1) for k, v in values.items() if v is not None}
            if values:
                found[(task, *files)] = {
                    'Task': task,
                    'Dataset': _data_set(files[0]),
                    'Metrics': values,
                    'file': files[0],
                }
    return list(found.values())


def _data_set(file: str) -> str:
    for part in Path(file).parts:
        if part in DATA_SETS:
            return DATA_SETS[part]
    raise UserError(
        f'{file}: of which data set? Expected it below a folder called '
        f'{" or ".join(DATA_SETS)}; add others to DATA_SETS in mmeff/zoo/index.py'
    )


def _relative(root: Path, file: str) -> str:
    return Path(file).relative_to(root).as_posix()


def _shape(shape: list[int]) -> str:
    return f'({", ".join(map(str, shape))})'


def _unique(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their keys, as in mmdet's metafiles."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def _text(content: dict) -> str:
    return HEAD + yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000
    )
