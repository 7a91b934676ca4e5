"""Pickles of proposals and predictions, read as data: arrays, tensors, mmengine's boxes."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import torch
from mmengine.structures import InstanceData

from mmeff.checkpoints.safe import ArrayStandIn as Array
from mmeff.checkpoints.safe import (
    allow_mmengine_types,
    dtype_stand_in,
    empty_array,
    encode_stand_in,
)
from mmeff.errors import UserError


def _tensor_bytes(content: bytes):
    """Stand-in for the function of torch that unpickles what is in a pickle."""
    with allow_mmengine_types():
        return torch.load(io.BytesIO(content), weights_only=True)


ALLOWED = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('builtins', 'set'): set,
    ('__builtin__', 'set'): set,  # its name in older protocols
    ('_codecs', 'encode'): encode_stand_in,
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    ('torch.storage', '_load_from_bytes'): _tensor_bytes,
    ('mmengine.structures.instance_data', 'InstanceData'): InstanceData,
    ('numpy', 'dtype'): dtype_stand_in,
    ('numpy', 'ndarray'): Array,
    **{
        (f'numpy.{core}.multiarray', name): function
        for core in ('core', '_core')
        for name, function in (
            ('_reconstruct', empty_array),
            ('scalar', np._core.multiarray.scalar),
        )
    },
}


class _PlainUnpickler(pickle._Unpickler):
    """Python's own and not the one in C, which makes memory of numbers in the file.

    For the same reason without `bytearray`, which mmdet does not write.
    """

    dispatch = {
        code: function
        for code, function in pickle._Unpickler.dispatch.items()
        if code != pickle.BYTEARRAY8[0]
    }

    def find_class(self, module: str, name: str):
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f'it names {module}.{name}') from None


def load_plain_pickle(stream, **_) -> object:
    """Content of a .pkl file; no code in it is run.

    Args:
        stream: Open for reading bytes.

    Raises:
        UserError: It is broken, or holds more than numbers, texts, lists, dictionaries,
            arrays, tensors and `InstanceData`.
    """
    try:
        return _PlainUnpickler(stream).load()
    # an unpickler that meets nonsense raises nearly anything
    except Exception as error:
        reason = str(error).split('\n')[0][:200] or type(error).__name__
        raise UserError(
            f'a .pkl file is not plain data ({reason}). mmeff runs no code from one; '
            'expected proposals or predictions as mmdet writes them'
        ) from error
