"""Set a config to train and test on a data set, whatever the config was made for.

`adopt` finds the layout of the data, checks it, and changes data loaders, evaluators,
class counts and, for data without masks, the mask branch. It says what it changed.
"""

import colorsys
from pathlib import Path
from typing import TYPE_CHECKING

from mmeff.datasets.layouts import DataFolder, Split, read_folder
from mmeff.datasets.shapes import make_shapes
from mmeff.errors import UserError

if TYPE_CHECKING:
    from mmengine import Config

SHAPES = 'shapes'
# Parts of a model whose `num_classes` counts something else than the data's classes.
OTHER_CLASSES = ('backbone', 'rpn_head', 'arm_head', 'semantic_head')
FILTER_CFG = {'filter_empty_gt': True, 'min_size': 32}  # mmdet's for COCO and VOC
NUM_CLASSES_SHOWN = 12


def adopt(
    cfg: 'Config',
    data: str | Path,
    work_dir: str | Path,
    classes: list[str] | tuple[str, ...] | None = None,
    data_root: str | Path = 'data',
) -> list[str]:
    """Make a config train, validate and test on a data set; changes `cfg` in place.

    Pipelines, batch sizes and samplers stay as they are. COCO data are measured with
    COCO AP (box, and mask where data and model have masks), VOC data with VOC AP50
    (11-point for VOC2007) and with COCO box AP in the same run.

    Args:
        cfg: A detection config of mmdet's grammar.
        data: Folder in COCO, VOC or YOLO layout, or the word 'shapes' for generated
            data (a folder of that name is './shapes').
        work_dir: Converted annotations are written to its folder `data`.
        classes: Names to keep; all when None. The order is that of the data.
        data_root: Folder below which 'shapes' are generated.

    Returns:
        Lines for a person: what was found and what was changed.

    Raises:
        UserError: The data are not usable, or the config cannot use them.
    """
    root = make_shapes(Path(data_root) / SHAPES) if data == SHAPES else data
    trained_on = _innermost(cfg.train_dataloader.dataset)
    filter_cfg = trained_on.get('filter_cfg') or FILTER_CFG
    folder = read_folder(
        root, Path(work_dir) / 'data', classes, filter_cfg.get('min_size', 0)
    )
    changes = [] if folder.has_masks else _remove_masks(cfg)
    changes += _set_num_classes(cfg.model, len(folder.classes))
    metrics = ['bbox', 'segm'] if _learns_masks(cfg) else ['bbox']
    changes += _set_train(cfg, folder, filter_cfg)
    for name in ('val', 'test'):
        _set_test(cfg, name, folder, metrics)
    changes += _set_monitored_metric(cfg, folder, metrics)
    return [*_describe(folder, metrics), *(f'changed: {change}' for change in changes)]


def _describe(folder: DataFolder, metrics: list[str]) -> list[str]:
    """What was found, one fact a line."""
    lines = [f'data: {folder.root} ({folder.layout})']
    for name, split in folder.splits.items():
        if name == 'test' and split == folder.splits['val']:
            lines.append('test: the same as val')
        else:
            lines.append(f'{name}: {split.num_images} images, {split.num_boxes} boxes')
    names = ', '.join(folder.classes[:NUM_CLASSES_SHOWN])
    more = ', ...' if len(folder.classes) > NUM_CLASSES_SHOWN else ''
    lines.append(f'classes ({len(folder.classes)}): {names}{more}')
    lines.append(f'masks: {"yes" if folder.has_masks else "no"}')
    coco = ' and '.join(f'coco/{metric}_mAP' for metric in metrics)
    if folder.voc_eval_mode:
        coco = f'pascal_voc/mAP (IoU 0.5, {folder.voc_eval_mode}) and {coco}'
    return [*lines, f'metric: {coco}', *(f'note: {note}' for note in folder.notes)]


# --------------------------------------------------------------------------- the model


def _set_num_classes(model: dict, num_classes: int, path: str = '') -> list[str]:
    """Set `num_classes` in all heads and their losses, at any depth."""
    changes = []
    for key, value in model.items():
        where = f'{path}.{key}' if path else key
        if key == 'num_classes' and value != num_classes:
            model[key] = num_classes
            changes.append(f'{where} {value} -> {num_classes}')
        elif key in OTHER_CLASSES:
            continue
        elif isinstance(value, dict):
            changes += _set_num_classes(value, num_classes, where)
        elif isinstance(value, list | tuple):
            for number, item in enumerate(value):
                if isinstance(item, dict):
                    changes += _set_num_classes(item, num_classes, f'{where}[{number}]')
    return changes


def _learns_masks(cfg: 'Config') -> bool:
    """True for a model with a mask head, or one that the config measures by masks."""
    model = cfg.model
    has_head = model.get('mask_head') or model.get('roi_head', {}).get('mask_head')
    return bool(has_head) or 'segm' in _coco_metric(cfg.val_evaluator).get('metric', ())


def _remove_masks(cfg: 'Config') -> list[str]:
    """Take out what learns masks: the mask branch, and masks in all pipelines."""
    changes = []
    roi_head = cfg.model.get('roi_head', {})
    if roi_head.get('mask_head'):
        roi_head.pop('mask_head')
        roi_head.pop('mask_roi_extractor', None)
        for name in ('val_evaluator', 'test_evaluator'):
            cfg[name] = {**_coco_metric(cfg[name]), 'metric': 'bbox'}
        changes.append('mask branch removed, the data have boxes only')
    if _learns_masks(cfg):
        raise UserError(
            f'model {cfg.model.type} learns masks, but the data have boxes only; '
            'expected data with polygons, or a config of a box detector'
        )
    if _switch_off_masks(cfg._cfg_dict):
        changes.append('with_mask=False in the pipelines')
    return changes


def _switch_off_masks(node: object) -> bool:
    """Set with_mask=False wherever it is True below `node`; True when it was."""
    found = False
    if isinstance(node, dict):
        found = node.get('with_mask') is True
        if found:
            node['with_mask'] = False
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            found |= _switch_off_masks(item)
    return found


# ---------------------------------------------------------------------------- the data


def _innermost(dataset: dict) -> dict:
    """The data set inside of RepeatDataset, ConcatDataset and other wrappers."""
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    return dataset


def _replace(dataset: dict, fields: dict) -> dict:
    """The same wrappers around a CocoDataset; of concatenated sets one remains."""
    if 'datasets' in dataset:
        return _replace(dataset['datasets'][0], fields)
    if 'dataset' in dataset:
        return {**dataset, 'dataset': _replace(dataset['dataset'], fields)}
    kept = {key: dataset[key] for key in ('pipeline', 'backend_args') if key in dataset}
    return {'type': 'mmeff.CocoDataset', **fields, **kept}


def _dataset_fields(folder: DataFolder, split: Split) -> dict:
    metainfo = {'classes': folder.classes, 'palette': _palette(len(folder.classes))}
    return {
        'data_root': '',
        'ann_file': str(split.ann_file),
        'data_prefix': {'img': f'{split.image_root}/'},
        'metainfo': metainfo,
    }


def _palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Well separated RGB colours: hues a golden angle apart."""
    hues = [(0.02 + 0.618034 * number) % 1 for number in range(num_classes)]
    colours = [colorsys.hsv_to_rgb(hue, 0.75, 0.95) for hue in hues]
    return [tuple(round(255 * value) for value in colour) for colour in colours]


def _set_train(cfg: 'Config', folder: DataFolder, filter_cfg: dict) -> list[str]:
    """Point the training at the data, or switch it off where there is no train split.

    mmengine refuses to train when these keys are None, which is safer than training
    on the data that the config was made for.
    """
    if 'train' not in folder.splits:
        for key in (
            'train_dataloader',
            'train_cfg',
            'optim_wrapper',
            'param_scheduler',
        ):
            cfg[key] = None
        return ['training switched off, the data have no train split']
    fields = _dataset_fields(folder, folder.splits['train'])
    fields['filter_cfg'] = filter_cfg
    cfg.train_dataloader.dataset = _replace(cfg.train_dataloader.dataset, fields)
    return []


def _set_test(cfg: 'Config', name: str, folder: DataFolder, metrics: list) -> None:
    """Point the val or the test loader, and its evaluator, at the data."""
    split = folder.splits[name]
    dataset = _innermost(cfg[f'{name}_dataloader'].dataset)
    fields = {**_dataset_fields(folder, split), 'test_mode': True}
    dataset = _replace(dataset, fields)
    if folder.voc_eval_mode:
        dataset['pipeline'] = _load_boxes_last(dataset['pipeline'])
    cfg[f'{name}_dataloader'].dataset = dataset
    evaluator = _coco_metric(cfg[f'{name}_evaluator'])
    evaluator |= {'ann_file': str(split.ann_file), 'metric': metrics}
    if folder.voc_eval_mode:
        voc = {'type': 'mmeff.VOCMetric', 'eval_mode': folder.voc_eval_mode}
        cfg[f'{name}_evaluator'] = [voc, evaluator]
    else:
        cfg[f'{name}_evaluator'] = evaluator


def _coco_metric(evaluator: dict | list) -> dict:
    """A CocoMetric with the config's settings of one, but for its output files."""
    evaluators = evaluator if isinstance(evaluator, list | tuple) else [evaluator]
    for entry in evaluators:
        if entry['type'].endswith('CocoMetric'):
            dropped = ('format_only', 'outfile_prefix')
            kept = {key: entry[key] for key in entry if key not in dropped}
            return {**kept, 'type': 'mmeff.CocoMetric'}
    return {'type': 'mmeff.CocoMetric'}


def _load_boxes_last(pipeline: list[dict]) -> list[dict]:
    """Load the true boxes just before packing, for VOCMetric compares with them.

    That late no resizing touches them: predictions are scaled back to the original
    image, and true boxes must be given in it.
    """
    kept = [step for step in pipeline if step['type'] != 'LoadAnnotations']
    load = {'type': 'LoadAnnotations', 'with_bbox': True}
    return [*kept[:-1], load, kept[-1]]


def _set_monitored_metric(
    cfg: 'Config', folder: DataFolder, metrics: list[str]
) -> list[str]:
    """Name the metric to watch in `save_best` and in hooks such as early stopping.

    A choice of the config that fits the data, such as coco/bbox_mAP_50, stays.
    """
    prefix, default = 'coco', 'coco/bbox_mAP'
    if folder.voc_eval_mode:
        prefix, default = 'pascal_voc', 'pascal_voc/mAP'
    watching = [(cfg.get('default_hooks', {}).get('checkpoint') or {}, 'save_best')]
    watching += [(hook, 'monitor') for hook in cfg.get('custom_hooks') or []]
    changes = []
    for hook, option in watching:
        key = hook.get(option)
        fits = str(key).startswith(f'{prefix}/') and (
            'segm' not in str(key) or 'segm' in metrics
        )
        if key and not fits:
            hook[option] = default
            changes.append(f'{hook["type"]}.{option} {key} -> {default}')
    return changes
