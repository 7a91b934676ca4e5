"""mmeff: efficient detection for MMDetection 3.x.

Importing the package is light (no torch): it only installs the import hooks of
`mmeff._hooks`, which lets mmdet run on a pure-Python mmcv and mends upstream defects.
Classes such as `mmeff.VoVNet` are imported when first asked for.
"""

from mmeff import _hooks
from mmeff.version import __version__

_hooks.install()


def config_path(name: str) -> str:
    """Absolute path of a config that travels with mmeff.

    Args:
        name: Path below `configs/`, for example `vovnet39_maskrcnn.py`.

    Raises:
        UserError: No such config; the message lists those that exist.
    """
    from mmeff.config import config_path

    return config_path(name)


def __getattr__(name: str):
    """Public classes by name, so that `mmeff.VoVNet` resolves from any registry."""
    if name.startswith('_'):
        raise AttributeError(name)
    from importlib import import_module

    for room in (
        'mmeff.models',
        'mmeff.evaluation.metrics',
        'mmeff.datasets.coco_dataset',
    ):
        if hasattr(module := import_module(room), name):
            return getattr(module, name)
    raise AttributeError(f'mmeff has no attribute {name!r}')


__all__ = ['__version__', 'config_path']
