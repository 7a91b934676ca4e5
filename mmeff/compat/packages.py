"""mmengine finds installed packages through `pkg_resources`, which is gone.

Why: setuptools >= 82 ships no `pkg_resources`, so every `_base_ = 'mmdet::...'` fails;
and for editable installs mmengine returns a folder that does not exist.
Upstream: https://github.com/open-mmlab/mmcv/issues/3325, mended on mmengine's main
branch, in no release.
Delete when: the oldest supported mmengine no longer imports `pkg_resources`.
"""

import importlib.metadata
import importlib.util
import os.path as osp


def package2module(package: str) -> str:
    """Module name of a distribution, from its `top_level.txt`.

    Raises:
        ValueError: The distribution does not say.
    """
    text = importlib.metadata.distribution(package).read_text('top_level.txt')
    if not text or not text.split():
        raise ValueError(f'can not infer the module name of {package}')
    return text.split()[0]


def _origin(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None


def is_installed(package: str) -> bool:
    """Whether a distribution or an importable module has this name."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return _origin(package) is not None
    return True


def get_installed_path(package: str) -> str:
    """Folder of a package: from a wheel, an editable install or PYTHONPATH alike.

    Raises:
        importlib.metadata.PackageNotFoundError: Nothing of that name is installed.
    """
    origin = _origin(package) or _origin(package2module(package))
    if origin is None:
        raise importlib.metadata.PackageNotFoundError(package)
    return osp.dirname(origin)


def apply(module) -> None:
    for function in (package2module, is_installed, get_installed_path):
        if hasattr(module, function.__name__):
            setattr(module, function.__name__, function)
