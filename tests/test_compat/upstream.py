"""Which defects that mmeff mends does the stock stack still have?

Run as a script: prints a JSON object {compat file: true while the defect is there}.
The operators of mmeff are served (mmdet cannot be imported otherwise), its patches are
not applied.
"""

import json
import os
import tempfile
import warnings

import mmeff._hooks

mmeff._hooks.PATCHES.clear()
warnings.simplefilter('ignore')

import mmdet.models  # noqa: E402, F401
import torch  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmengine.config import Config  # noqa: E402


def raises(function, *kinds) -> bool:
    try:
        function()
    except kinds:
        return True
    return False


def packages() -> bool:
    from mmengine.utils import get_installed_path, is_installed

    return raises(
        lambda: is_installed('mmdet') and get_installed_path('mmdet'),
        ModuleNotFoundError,
    )


def config_names() -> bool:
    from mmengine.config.utils import _get_package_and_cfg_path as parse

    # each of the two alone is a reason to keep the file
    return raises(lambda: parse('mmeff::a/b.py'), AssertionError) or raises(
        lambda: parse('mmdet::b.py'), ValueError
    )


def safe_checkpoint() -> bool:
    from mmengine.logging import HistoryBuffer
    from mmengine.runner.checkpoint import load_checkpoint

    path = os.path.join(tempfile.mkdtemp(), 'x.pth')
    content = {'state_dict': {}, 'message_hub': {'loss': HistoryBuffer([1.0], [1])}}
    torch.save(content, path)
    from pickle import UnpicklingError

    return raises(lambda: load_checkpoint(torch.nn.Linear(1, 1), path), UnpicklingError)


def atomic_write() -> bool:
    from mmengine.fileio import LocalBackend

    path = os.path.join(tempfile.mkdtemp(), 'x')
    LocalBackend().put(b'old', path)
    inode = os.stat(path).st_ino
    LocalBackend().put(b'new', path)
    return os.stat(path).st_ino == inode  # the same file was overwritten


def cpu_amp() -> bool:
    from mmengine.optim import AmpOptimWrapper

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    return raises(lambda: AmpOptimWrapper(optimizer=optimizer), AssertionError)


def cpu_ddp() -> bool:
    from mmengine.dist import init_dist

    os.environ.update(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1')
    os.environ['MASTER_PORT'] = '29555'
    return raises(lambda: init_dist('pytorch', 'gloo'), RuntimeError, AssertionError)


def find_loader() -> bool:
    import inspect

    from mmengine.utils.dl_utils.misc import mmcv_full_available

    return 'pkgutil.find_loader' in inspect.getsource(mmcv_full_available)


def inference_pipeline() -> bool:
    from mmdet.apis.inference import get_test_pipeline_cfg

    step = dict(type='LoadImageFromFile')
    cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[step]))))
    get_test_pipeline_cfg(cfg.copy())[0].type = 'other'
    return get_test_pipeline_cfg(cfg)[0].type == 'other'


def ssd_head() -> bool:
    from mmdet.models import SSDHead

    return not hasattr(SSDHead, 'loss_cls')


def bf16_rois() -> bool:
    extractor = MODELS.build(
        dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=1, sampling_ratio=1),
            out_channels=1,
            featmap_strides=[1],
        )
    )
    ramp = ((torch.arange(2000.0) - 1000) / 8).expand(1, 1, 1, 2000).bfloat16()
    # bfloat16 knows 1000 and 1004, nothing between
    roi = torch.tensor([[0, 1001.9, 0, 1001.98, 1]])
    center = (1001.94 - 0.5 - 1000) / 8
    return abs(extractor([ramp], roi).item() - center) > 0.1


if __name__ == '__main__':
    checks = [packages, config_names, safe_checkpoint, atomic_write, cpu_amp, cpu_ddp]
    checks += [find_loader, inference_pipeline, ssd_head, bf16_rois]
    print(json.dumps({check.__name__: bool(check()) for check in checks}))
