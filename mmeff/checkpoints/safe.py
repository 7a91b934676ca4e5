"""Checkpoint files are read as plain data: no code in them is ever run.

torch's weights-only unpickler refuses every class that is not listed. mmengine's
checkpoints hold a few harmless ones (training curves in `HistoryBuffer`, numpy
scalars); those are allowed here and nothing else is. Of what torch allows, functions
with which a small file could ask for endless memory are taken away or replaced.
"""

import hashlib
import os.path as osp
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from mmeff.errors import UserError

# Of torch's own list: they make memory of a number, or a full copy of a tensor that is
# one element repeated. No checkpoint of weights needs them.
WITHOUT = (
    'builtins.bytearray',
    'torch._utils._rebuild_device_tensor_from_cpu_tensor',
    'torch._utils._rebuild_device_tensor_from_numpy',
)
NUMBERS = 'biufcSU'  # kinds of numpy's types whose values are in the file
# In a pickle names end with the line, so that none of a file can be this one.
UNREACHABLE = 'numpy\nndarray'


def _history_method(owner: type, name: str):
    """Stand-in for `getattr`, through which a `HistoryBuffer` pickles its methods."""
    if owner is HistoryBuffer and not name.startswith('_'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'attribute {name!r} of {owner!r} is not allowed')


def encode_stand_in(text: str, encoding: str) -> bytes:
    """Stand-in for `codecs.encode`, by which pickles write bytes; some codecs inflate."""
    if not isinstance(text, str) or encoding not in ('latin1', 'latin-1'):
        raise pickle.UnpicklingError(f'the codec {encoding!r} is not allowed')
    return text.encode('latin1')


class ArrayStandIn:
    """Stand-in for `np.ndarray` where a pickle names it."""


def empty_array(kind: type, shape: tuple, code: bytes) -> np.ndarray:
    """Stand-in for numpy's `_reconstruct`: the array is filled by what follows."""
    if kind is not ArrayStandIn or shape != (0,):
        raise pickle.UnpicklingError(f'an array of shape {shape!r} is not allowed')
    return np.empty(0, np.int8)


def dtype_stand_in(code: str, *flags: bool) -> np.dtype:
    """Stand-in for `np.dtype`: of numbers and texts."""
    dtype = np.dtype(code) if isinstance(code, str | bytes) else None
    if dtype is None or dtype.kind not in NUMBERS:
        raise pickle.UnpicklingError(f'an array of {code!r} is not allowed')
    return dtype


def _allowed() -> list:
    numpys = {'scalar': np._core.multiarray.scalar, '_reconstruct': empty_array}
    dtypes = {type(np.dtype(code)) for code in np.typecodes['All'] if code not in 'OV'}
    return [
        HistoryBuffer,
        (np.ndarray, UNREACHABLE),
        (ArrayStandIn, 'numpy.ndarray'),
        (dtype_stand_in, 'numpy.dtype'),
        *((kind, f'numpy\n{kind.__name__}') for kind in dtypes),
        (_history_method, 'builtins.getattr'),
        # numpy < 2 wrote the same functions under numpy.core
        *(
            (function, f'numpy.{core}.multiarray.{name}')
            for name, function in numpys.items()
            for core in ('core', '_core')
        ),
    ]


@contextmanager
def allow_mmengine_types() -> Iterator[None]:
    """Context (or decorator) in which weights-only loading accepts mmengine's types.

    And within which it is stricter than torch about what takes memory.
    """
    default = torch._weights_only_unpickler._get_allowed_globals()
    before = dict(default)
    for name in WITHOUT:
        default.pop(name, None)
    default['_codecs.encode'] = encode_stand_in
    try:
        with torch.serialization.safe_globals(_allowed()):
            yield
    finally:
        default.update(before)


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
    _refuse_zip_bomb(filename)
    try:
        with allow_mmengine_types():
            content = torch.load(filename, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f'checkpoint {filename} is not plain weights: {_pickle_reason(error)}. mmeff '
            'never runs code from a checkpoint. If you trust the file, load it once '
            'yourself with torch.load(..., weights_only=False) and save its '
            "'state_dict' alone."
        ) from error
    # an unpickler that meets nonsense raises nearly anything
    except Exception as error:
        size = osp.getsize(filename)
        raise UserError(
            f'checkpoint {filename} ({size} bytes) cannot be read: it is cut off or not '
            f'a file of torch.save ({_first_line(error)}). Use an earlier checkpoint or '
            'copy the file again.'
        ) from error
    return without_code(content, filename)


def without_code(content, name: str) -> dict:
    """The content, without the config that old checkpoints carry as Python code.

    mmengine runs `meta['config']` when a training is resumed.

    Args:
        content: What was read; its `meta` is changed in place.
        name: Of the file, for the message.

    Raises:
        UserError: The content is no dictionary, or its parts are not what they should be.
    """
    if not isinstance(content, Mapping):
        raise UserError(
            f'checkpoint {name} holds a {type(content).__name__}; expected a dictionary '
            "with 'state_dict', or a state dict"
        )
    for part in ('state_dict', 'meta'):
        if part in content and not isinstance(content[part], Mapping):
            found = type(content[part]).__name__
            raise UserError(
                f'checkpoint {name}: its {part!r} is a {found}; expected a dictionary'
            )
    if not all(isinstance(key, str) for key in content.get('state_dict', content)):
        raise UserError(
            f'checkpoint {name}: not all of its keys are names; expected a state dict'
        )
    if 'config' in content.get('meta', {}):
        del content['meta']['config']
    return content


def _refuse_zip_bomb(filename: str) -> None:
    """torch.save compresses nothing, so a file never holds more than its own size.

    Raises:
        UserError: This one would.
    """
    try:
        with zipfile.ZipFile(filename) as archive:
            members = archive.infolist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # torch will say what is wrong with it, or knows its old format
    total, size = sum(member.file_size for member in members), osp.getsize(filename)
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if total > size or not stored:
        raise UserError(
            f'checkpoint {filename} is compressed: {size} bytes would become {total}; '
            'torch.save does not do so. If you trust the file, unpack it and pack it '
            'again without compression (zip -0)'
        )


def _load_safetensors(filename: str, map_location) -> dict:
    device = map_location if isinstance(map_location, str) else 'cpu'
    try:
        return safetensors.torch.load_file(filename, device=device)
    # a type of numbers that torch has not is a KeyError
    except (safetensors.SafetensorError, OSError, KeyError) as error:
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


def _pickle_reason(error: pickle.UnpicklingError) -> str:
    """What was refused, out of torch's long explanation."""
    text = str(error)
    refused = re.search(r'(?i)unsupported (?:global: )?GLOBAL (\S+)', text)
    if refused:
        return f'it names {refused[1][:100]}, which is no tensor or plain value'
    return _first_line(Exception(text.rpartition('WeightsUnpickler error: ')[2]))
