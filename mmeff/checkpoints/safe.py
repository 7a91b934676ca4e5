"""Checkpoint files are read as plain data: no code in them is ever run.

torch's weights-only unpickler refuses every class that is not listed. mmengine's
checkpoints hold a few harmless ones (training curves in `HistoryBuffer`, numpy
scalars); those are allowed here and nothing else is.
"""

import hashlib
import os.path as osp
import pickle
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from mmeff.errors import UserError


def _history_method(owner: type, name: str):
    """Stand-in for `getattr`, through which a `HistoryBuffer` pickles its methods."""
    if owner is HistoryBuffer and not name.startswith('_'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'attribute {name!r} of {owner!r} is not allowed')


def _allowed() -> list:
    dtypes = [getattr(np.dtypes, name) for name in np.dtypes.__all__]
    multiarray = np._core.multiarray
    return [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *dtypes,
        (_history_method, 'builtins.getattr'),
        # numpy < 2 wrote the same functions under numpy.core
        *[
            (getattr(multiarray, name), f'numpy.{core}.multiarray.{name}')
            for name in ('scalar', '_reconstruct')
            for core in ('core', '_core')
        ],
    ]


def allow_mmengine_types() -> AbstractContextManager:
    """Context (or decorator) in which weights-only loading accepts mmengine's types."""
    return torch.serialization.safe_globals(_allowed())


def load_file(filename: str, map_location=None) -> dict:
    """Load a local checkpoint without running code from it.

    Args:
        filename: Path of a file written by `torch.save`, or of a .safetensors file.
        map_location: As in `torch.load`.

    Raises:
        FileNotFoundError: No such file.
        UserError: The file is cut off, is no checkpoint, or holds objects that only
            unsafe loading could rebuild.
    """
    filename = osp.expanduser(filename)
    if not osp.isfile(filename):
        raise FileNotFoundError(f'checkpoint {filename}: no such file')
    if filename.endswith('.safetensors'):
        return _load_safetensors(filename, map_location)
    try:
        with allow_mmengine_types():
            return torch.load(filename, map_location=map_location, weights_only=True)
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        size = osp.getsize(filename)
        raise UserError(
            f'checkpoint {filename} ({size} bytes) cannot be read: it is cut off or not '
            f'a file of torch.save ({_first_line(error)}). Use an earlier checkpoint or '
            'copy the file again.'
        ) from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f'checkpoint {filename} is not plain weights: {_first_line(error)}. mmeff '
            'never runs code from a checkpoint. If you trust the file, load it once '
            'yourself with torch.load(..., weights_only=False) and save its '
            "'state_dict' alone."
        ) from error


def _load_safetensors(filename: str, map_location) -> dict:
    device = map_location if isinstance(map_location, str) else 'cpu'
    try:
        return safetensors.torch.load_file(filename, device=device)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(
            f'checkpoint {filename} ({osp.getsize(filename)} bytes) is no whole file of '
            f'safetensors ({_first_line(error)}). Copy it again.'
        ) from error


def file_sha256(filename: str | Path | None) -> str | None:
    """Digest by which results of the same weights are recognised; None for no file."""
    if filename is None or not Path(filename).is_file():
        return None
    digest = hashlib.sha256()
    with open(filename, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().split('\n')[0][:200] or type(error).__name__
