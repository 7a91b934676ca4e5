"""What the patches of mmeff/compat make work."""

import os
import subprocess
import sys

import mmengine.utils
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.logging import HistoryBuffer
from mmengine.optim import AmpOptimWrapper
from mmengine.runner.checkpoint import CheckpointLoader

import mmeff
from mmeff.errors import UserError


def test_installed_packages_are_found_without_pkg_resources():
    assert mmengine.utils.is_installed('mmdet')
    assert mmengine.utils.is_installed('mmcv-lite')  # a distribution of another name
    assert not mmengine.utils.is_installed('no-such-package')
    assert os.path.samefile(
        mmengine.utils.get_installed_path('mmeff'), os.path.dirname(mmeff.__file__)
    )
    assert mmengine.utils.get_installed_path('mmcv-lite').endswith('mmcv')


@pytest.mark.parametrize(
    'base', ['mmeff::vovnet39_maskrcnn.py', 'mmeff::_base_/default_runtime.py']
)
def test_configs_inherit_by_package_name(tmp_path, base):
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = '{base}'\nwork_dir = 'here'\n")
    cfg = Config.fromfile(child)
    assert cfg.default_scope == 'mmdet'
    assert cfg.work_dir == 'here'


def test_checkpoint_of_mmengine_loads(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    meta = {'best': np.float64(0.5), 'curve': np.arange(3, dtype=np.float32)}
    torch.save({'state_dict': {}, 'message_hub': {'loss': history}, 'meta': meta}, path)
    content = CheckpointLoader.load_checkpoint(str(path), 'cpu')
    assert content['message_hub']['loss'].mean() == 1.5
    assert content['meta']['best'] == 0.5
    assert content['meta']['curve'].tolist() == [0, 1, 2]


class Payload:
    """Creates a file when it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, 'w')


def test_checkpoint_never_runs_code(tmp_path):
    target = tmp_path / 'written'
    for name, content in {
        'module.pth': {'state_dict': {}, 'extra': Payload(str(target))},
        'getattr.pth': {'state_dict': {}, 'extra': HistoryGetattr()},
    }.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(UserError, match='not plain weights'):
            CheckpointLoader.load_checkpoint(str(tmp_path / name), 'cpu')
    assert not target.exists()


class HistoryGetattr:
    """Tries to reach a private attribute through the allowed `getattr`."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def test_cut_off_checkpoint_is_a_message(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': {'a': torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r'epoch_1.pth \(2000 bytes\) cannot be read'):
        CheckpointLoader.load_checkpoint(str(path), 'cpu')


def test_a_killed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'last_checkpoint'
    LocalBackend().put_text('epoch_1.pth', path)
    code = (
        'import mmeff, os, sys\n'
        'from mmengine.fileio import LocalBackend\n'
        'os.fsync = lambda fd: os._exit(9)\n'  # dies before the rename
        'LocalBackend().put_text("epoch_2.pth" * 100000, sys.argv[1])\n'
    )
    run = subprocess.run([sys.executable, '-c', code, str(path)])
    assert run.returncode == 9
    assert path.read_text() == 'epoch_1.pth'


def test_a_failed_write_leaves_no_rubbish(tmp_path, monkeypatch):
    def full(fd):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space'):
        LocalBackend().put(b'data', tmp_path / 'x')
    assert list(tmp_path.iterdir()) == []


def test_mixed_precision_trains_on_a_cpu():
    layer = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    wrapper = AmpOptimWrapper(optimizer=optimizer, clip_grad={'max_norm': 1.0})
    before = layer.weight.detach().clone()
    with wrapper.optim_context(layer):
        out = layer(torch.ones(2, 4))
    if not torch.cuda.is_available():
        assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().square().sum())
    assert not torch.equal(layer.weight, before)
    AmpOptimWrapper(optimizer=optimizer).load_state_dict(wrapper.state_dict())


def test_ssd_head_has_what_predict_reads():
    from mmdet.models import SSDHead

    assert SSDHead.loss_cls is None


def test_rois_keep_float32_under_bfloat16():
    from mmdet.registry import MODELS

    layer = {'type': 'RoIAlign', 'output_size': 7, 'sampling_ratio': 2}
    extractor = MODELS.build(
        {
            'type': 'SingleRoIExtractor',
            'roi_layer': layer,
            'out_channels': 2,
            'featmap_strides': [1],
        }
    )
    feats = torch.randn(1, 2, 8, 1400).bfloat16()
    rois = torch.tensor([[0, 1001.3, 1.2, 1009.7, 6.4]])
    exact = extractor([feats.float()], rois)
    rounded = extractor([feats], rois)
    assert rounded.dtype == torch.bfloat16
    assert torch.allclose(rounded.float(), exact, atol=0.02)


def test_array_then_path_with_inference_pipeline():
    from mmdet.apis.inference import get_test_pipeline_cfg

    steps = [{'type': 'LoadImageFromFile'}]
    cfg = Config({'test_dataloader': {'dataset': {'pipeline': steps}}})
    get_test_pipeline_cfg(cfg.copy())[0].type = 'mmdet.LoadImageFromNDArray'
    assert get_test_pipeline_cfg(cfg)[0].type == 'LoadImageFromFile'


def test_process_group_without_a_gpu(python):
    code = """
import mmeff, torch
from mmengine.dist import get_backend, init_dist
from mmengine.model import MMDistributedDataParallel
init_dist('pytorch', 'nccl')
print(get_backend())
MMDistributedDataParallel(torch.nn.Linear(1, 1), device_ids=[0])
"""
    address = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': '29557'}
    ranks = {'RANK': '0', 'WORLD_SIZE': '1', 'LOCAL_RANK': '0'}
    assert python('-c', code, **address, **ranks).stdout.split() == ['gloo']
