"""Detectors at the speed of the machine: optimise, export, and one predictor over all.

The public names are imported when they are used, for they need torch and mmdet.
"""

from importlib import import_module

_HOMES = {
    'Predictor': 'mmeff.deploy.predictor',
    'export': 'mmeff.deploy.onnx_export',
    'load': 'mmeff.deploy.predictor',
    'optimize': 'mmeff.deploy.optimized',
}

__all__ = ['Predictor', 'export', 'load', 'optimize']


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(_HOMES[name]), name)
