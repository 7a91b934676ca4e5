"""Offers mmcv's compiled extension to processes that lack it (stdlib only).

Installed as the top-level package `mmeff_autoload` and named in torch's plugin entry
point `torch.backends`, so that it runs when torch is imported. It appends one import
finder and does nothing else: mmeff itself is imported only when a process asks for
`mmcv._ext` and no compiled one exists, which would otherwise be an ImportError.
`TORCH_DEVICE_BACKEND_AUTOLOAD=0` turns it off.
"""

import sys
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path


class MmcvExtFinder:
    """Serves `mmcv._ext` from `mmeff/ops/_ext.py`.

    Appended to `sys.meta_path`, so a compiled extension is found first. A finder and
    not an object in `sys.modules`, because mmengine asks for the module's spec.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != 'mmcv._ext':
            return None
        # The parent spec locates the file without importing mmeff.
        package = Path(find_spec('mmeff').origin).parent
        return spec_from_file_location(name, package / 'ops' / '_ext.py')


def serve_mmcv_ext() -> None:
    """Append the finder once per process."""
    # By name: this file can be imported both as mmeff_autoload and mmeff.autoload.
    names = {getattr(finder, '__name__', '') for finder in sys.meta_path}
    if MmcvExtFinder.__name__ not in names:
        sys.meta_path.append(MmcvExtFinder)
