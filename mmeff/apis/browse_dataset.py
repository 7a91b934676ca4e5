"""Draw samples of a data set as it is stored, and as a training sees it."""

import copy
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes
from mmdet.utils import register_all_modules
from mmdet.visualization import DetLocalVisualizer
from mmengine.dataset import Compose

from mmeff.apis.runner import friendly_errors
from mmeff.config import load_config
from mmeff.datasets import adopt, read_folder
from mmeff.datasets.files import new_folder
from mmeff.errors import UserError
from mmeff.whole_file import whole_file

TILE, GAP = 320, 8  # longer side of a picture on the contact sheet, pixels
PAIRS_A_ROW = 3


def browse_dataset(
    out: str | Path,
    config=None,
    data: str | Path | None = None,
    number: int = 16,
    split: str = 'train',
    augment: bool = True,
) -> list[Path]:
    """Write pictures of samples with their boxes and masks, and a contact sheet of all.

    Args:
        out: Folder to make.
        config: Config, its path, or the name of one that comes with mmeff; its pipeline
            is applied. Without one, samples are drawn as they are stored.
        data: Folder in COCO, VOC or YOLO layout, or 'shapes'; by default what the
            config says.
        number: Samples, evenly spread over the data set.
        split: 'train', 'val' or 'test'.
        augment: Draw each sample a second time, after the pipeline of the split.

    Returns:
        The files; the contact sheet is the last.

    Raises:
        UserError: There are no such data, or an output cannot be written.
    """
    if number < 1:
        raise UserError(f'number={number}: expected at least 1 sample')
    out = Path(out)
    with tempfile.TemporaryDirectory() as cache, friendly_errors():
        dataset = _build(config, data, split, cache)
        if not len(dataset):
            raise UserError(f'{split}: no image is kept by the filter of the data set')
        with new_folder(out.absolute()) as folder:
            names = _draw_samples(
                dataset, folder, number, augment and config is not None
            )
    return [out / name for name in names]


def _build(config, data: str | Path | None, split: str, cache: str):
    """The data set of a split."""
    register_all_modules(init_default_scope=True)
    if config is not None:
        cfg = copy.deepcopy(load_config(config))
        if data is not None:
            adopt(cfg, data, cache)
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            raise UserError(
                f'split {split!r}: the config has none, or the data have none'
            )
        return DATASETS.build(loader.dataset)
    if data is None:
        raise UserError('nothing to draw: name a config, or a folder with --data')
    folder = read_folder(data, cache)
    if split not in folder.splits:
        raise UserError(f'{data}: no {split} split; it has {", ".join(folder.splits)}')
    found = folder.splits[split]
    return DATASETS.build(
        dict(
            type='mmeff.CocoDataset',
            ann_file=str(found.ann_file),
            data_prefix=dict(img=f'{found.image_root}/'),
            metainfo=dict(classes=folder.classes),
            pipeline=[],
        )
    )


def _draw_samples(dataset, folder: Path, number: int, augment: bool) -> list[str]:
    """Write the pictures; returns their names."""
    names, rows = [], []
    for index in np.unique(np.linspace(0, len(dataset) - 1, number).astype(int)):
        info = dataset.get_data_info(int(index))
        stem = f'{index:06d}_{Path(info["img_path"]).stem}'
        pictures = {'original': _draw(_as_stored(info), dataset.metainfo)}
        if augment:
            sample = dataset[int(index)]
            pictures['augmented'] = _draw(sample, dataset.metainfo)
        for kind, picture in pictures.items():
            names.append(f'{stem}_{kind}.png')
            _write(folder / names[-1], picture)
        rows.append(np.hstack([_tile(picture) for picture in pictures.values()]))
    names.append('contact_sheet.png')
    _write(folder / names[-1], _sheet(rows))
    return names


def _as_stored(info: dict) -> dict:
    """A sample with its image and boxes, and masks where all objects have one."""
    has_masks = all('mask' in instance for instance in info['instances'])
    load = dict(type='LoadAnnotations', with_bbox=True, with_mask=has_masks)
    steps = [dict(type='LoadImageFromFile'), load, dict(type='PackDetInputs')]
    return Compose(steps)(info)


def _draw(sample: dict, metainfo: dict) -> np.ndarray:
    """Picture (H, W, 3) BGR of a packed sample with its boxes, masks and classes."""
    image = sample['inputs'].float().clamp(0, 255).byte().numpy().transpose(1, 2, 0)
    instances = sample['data_samples'].gt_instances
    if isinstance(instances.bboxes, BaseBoxes):
        instances.bboxes = instances.bboxes.tensor
    canvas = DetLocalVisualizer()
    canvas.dataset_meta = {'classes': metainfo['classes'], 'palette': 'random'}
    with warnings.catch_warnings():
        # mmengine warns of each box that touches the border
        warnings.filterwarnings('ignore', '.* is out of bounds')
        truth = DetDataSample(gt_instances=instances)
        canvas.add_datasample('', image[..., ::-1], truth, draw_pred=False)
    return np.ascontiguousarray(canvas.get_image()[..., ::-1])


def _tile(picture: np.ndarray) -> np.ndarray:
    """The picture within a white square."""
    height, width = picture.shape[:2]
    scale = TILE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    tile = np.full((TILE + GAP, TILE + GAP, 3), 255, np.uint8)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tile[: size[1], : size[0]] = small
    return tile


def _sheet(pairs: list[np.ndarray]) -> np.ndarray:
    """Pairs of tiles, some beside each other in a row."""
    columns = min(PAIRS_A_ROW, len(pairs))
    missing = -len(pairs) % columns
    pairs = pairs + [np.full_like(pairs[0], 255)] * missing
    rows = [np.hstack(pairs[i : i + columns]) for i in range(0, len(pairs), columns)]
    return np.vstack(rows)


def _write(file: Path, picture: np.ndarray) -> None:
    done, data = cv2.imencode('.png', picture)
    if not done:
        raise UserError(f'{file.name}: OpenCV cannot write this picture')
    with whole_file(file) as unfinished:
        unfinished.write_bytes(data.tobytes())
