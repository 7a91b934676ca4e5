"""The interface of mmcv's compiled extension `mmcv._ext`, without compiling anything.

mmcv-lite ships the Python side of `mmcv.ops` but not the compiled module it calls. The
finder in `mmeff/_autoload` serves `_ext.py` of this folder under the name `mmcv._ext`
when there is no compiled one. A topic a file:

    nms.py           nms, softnms, nms_match
    roi.py           roi_align, roi_pool
    deform_conv.py   deform_conv (DCN), modulated_deform_conv (DCNv2)
    focal.py         sigmoid and softmax focal loss
    masked_conv.py   masked_im2col, masked_col2im
    carafe.py        carafe, carafe_naive
    attention.py     ms_deform_attn
    sync_bn.py       sync_bn (MMSyncBN)
    misc.py          bbox_overlaps, compiler versions, the error of all other ops
    precision.py     which number format the kernels compute in

Each function takes the arguments that mmcv's wrappers pass to the compiled one, by the
same names; most write into tensors they are given and return nothing. Scratch buffers
and `im2col_step` are accepted and left alone, for only the compiled code needs them.
What is served, against which reference, with which differences: `docs/ops.md`.
"""

from importlib.util import find_spec
from pathlib import Path


def backend() -> str:
    """Who serves `mmcv._ext` in this process.

    Returns:
        'mmcv (compiled)', 'mmeff (torchvision)', or 'none' when mmcv.ops cannot be
        imported because neither is there.
    """
    try:
        spec = find_spec('mmcv._ext')
    except ModuleNotFoundError:
        return 'none'
    if spec is None or spec.origin is None:
        return 'none'
    if Path(spec.origin) == Path(__file__).with_name('_ext.py'):
        return 'mmeff (torchvision)'
    return 'mmcv (compiled)'
