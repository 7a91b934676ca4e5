"""What a detector is measured on: one image, through the config's own test pipeline."""

import copy
from collections.abc import Callable
from pathlib import Path

import mmcv
import numpy as np
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from mmeff.errors import UserError

MIN_SIDE = 32  # the stride of the deepest stage of nearly every backbone
CELL = 16  # pixels between the colours of the synthetic image
GRAIN = 8.0  # standard deviation of its noise


def make_batch(
    cfg: Config,
    shape: tuple[int, int] | None = None,
    image: str | Path | None = None,
    batch: int = 1,
) -> dict:
    """A batch of equal images, from the test pipeline of a config but without its data.

    Args:
        cfg: Config of the detector.
        shape: Height and width the image is resized to; by default it goes through the
            config's own test pipeline, and a synthetic one has that pipeline's size.
        image: An image file; by default a synthetic image, the same in each run.
        batch: Number of images.

    Returns:
        `inputs`, a list of uint8 tensors (3, H, W), and `data_samples`, on the CPU.

    Raises:
        UserError: A bad shape, image or batch, or the config does not tell a shape.
    """
    _check_batch(shape, batch)
    if image is not None:
        _check_image(image)
        return make_loader(cfg, image, shape, batch)()
    pixels = synthetic_image(cfg, shape)
    item = _compose(cfg, shape, from_file=False)({'img': pixels, 'img_id': 0})
    return pseudo_collate([copy.deepcopy(item) for _ in range(batch)])


def make_loader(
    cfg: Config,
    image: str | Path,
    shape: tuple[int, int] | None = None,
    batch: int = 1,
) -> Callable[[], dict]:
    """A function that reads an image file `batch` times; arguments as in `make_batch`."""
    pipeline = _compose(cfg, shape, from_file=True)

    def load() -> dict:
        return pseudo_collate(
            [pipeline({'img_path': str(image), 'img_id': 0}) for _ in range(batch)]
        )

    return load


def synthetic_image(cfg: Config, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Smooth colours with some grain; as a JPEG about as large as a photograph.

    Returns:
        (H, W, 3), uint8; `shape`, or what the test pipeline resizes to.

    Raises:
        UserError: The config does not tell a shape.
    """
    height, width = shape or _default_shape(_test_pipeline(cfg))
    random = np.random.default_rng(0)
    cells = (height // CELL + 2, width // CELL + 2, 3)
    colours = random.integers(0, 256, cells, dtype=np.uint8)
    smooth = mmcv.imresize(colours, (width, height), interpolation='bilinear')
    grain = random.normal(0, GRAIN, (height, width, 1))
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def _check_batch(shape: tuple[int, int] | None, batch: int) -> None:
    if batch < 1:
        raise UserError(f'batch={batch}: expected 1 or more')
    if shape is not None and (len(shape) != 2 or min(shape) < MIN_SIDE):
        raise UserError(
            f'shape {" ".join(map(str, shape))}: expected height and width, each '
            f'{MIN_SIDE} pixels or more'
        )


def _check_image(path: str | Path) -> None:
    try:
        pixels = mmcv.imread(str(path))
    except OSError as error:
        raise UserError(f'image {path}: {error.strerror}') from error
    if pixels is None:
        raise UserError(f'image {path} cannot be decoded; expected a JPEG or PNG file')


def _compose(cfg: Config, shape: tuple[int, int] | None, from_file: bool) -> Compose:
    """The config's test pipeline, or a plain resize to `shape`; no annotations."""
    steps = _test_pipeline(cfg)
    loading = [step for step in steps if _type_name(step).startswith('Load')]
    files = [step for step in loading if _type_name(step) == 'LoadImageFromFile']
    floats = any(step.get('to_float32', False) for step in loading)
    load = {'type': 'mmdet.LoadImageFromNDArray', 'to_float32': floats}
    if from_file:
        load = files[0] if files else {'type': 'LoadImageFromFile'}
    rest = [step for step in steps if step not in loading]
    if shape is not None:
        scale = tuple(shape)[::-1]
        resize = {'type': 'mmdet.Resize', 'scale': scale, 'keep_ratio': False}
        rest = [resize, {'type': 'mmdet.PackDetInputs'}]
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    return Compose([load, *rest])


def _test_pipeline(cfg: Config) -> list[dict]:
    try:
        return list(get_test_pipeline_cfg(cfg))
    except (AttributeError, KeyError, RuntimeError):  # no test_dataloader
        return []


def _type_name(step: dict) -> str:
    """'Resize' for a step of type 'Resize', 'mmdet.Resize' or the class itself."""
    kind = step['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


def _default_shape(pipeline: list[dict]) -> tuple[int, int]:
    """Height and width of the landscape image that fills the pipeline's Resize."""
    for step in pipeline:
        if _type_name(step).endswith('Resize') and step.get('scale') is not None:
            scale = step['scale']
            width, height = (scale, scale) if isinstance(scale, int) else scale
            if step.get('keep_ratio'):
                height, width = sorted((height, width))
            return height, width
    raise UserError(
        "the config's test pipeline has no Resize with a scale, so the input shape is "
        'not known; give it with --shape H W'
    )
