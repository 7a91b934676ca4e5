"""mmengine uses `pkgutil.find_loader`, which Python 3.14 removed.

Why: every Runner without a launcher looks for mmcv's extension that way and breaks.
Upstream: mmengine 0.10.7, `mmcv_full_available`; mended in the onedl fork.
Delete when: the oldest supported mmengine uses `importlib.util.find_spec`.
"""

import importlib.util
import pkgutil
from types import SimpleNamespace


def apply(module) -> None:
    if not hasattr(pkgutil, 'find_loader'):
        module.pkgutil = SimpleNamespace(find_loader=importlib.util.find_spec)
