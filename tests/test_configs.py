"""Every config that travels with mmeff builds, and agrees with itself."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmeff.apis.config import CONFIGS, config_path, load_config
from mmeff.apis.train import train
from mmeff.errors import UserError

NAMES = sorted(
    str(path.relative_to(CONFIGS))
    for path in CONFIGS.glob('**/*.py')
    if '_base_' not in path.parts
)


@pytest.fixture(params=NAMES)
def cfg(request) -> Config:
    return load_config(request.param)


def test_model_builds_with_matching_channels(cfg):
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
    assert list(backbone.out_channels) == list(cfg.model.neck.in_channels)


def test_loaders_use_the_pipelines_of_the_config(cfg):
    dataset = cfg.train_dataloader.dataset
    for part in dataset.get('datasets', [dataset]):
        assert part.pipeline == cfg.train_pipeline
    assert cfg.val_dataloader.dataset.pipeline == cfg.test_pipeline
    assert cfg.test_dataloader.dataset.pipeline == cfg.test_pipeline


def test_workers_start_anew_each_epoch(cfg):
    """Else a resumed run would draw other augmentations, see engine/seeding.py."""
    assert not cfg.train_dataloader.get('persistent_workers', False)
    assert cfg.train_dataloader.worker_init_fn.type == 'mmeff.engine.seed_worker'


def test_stock_tools_can_run_it(cfg):
    assert cfg.custom_imports == dict(imports=['mmeff'], allow_failed_imports=False)
    assert cfg.default_scope == 'mmdet'


@pytest.mark.parametrize(
    'name',
    [
        'vovnet39_maskrcnn.py',
        'mobilenetv2_fasterrcnn.py',
        *(n for n in NAMES if n.endswith('_retinanet.py')),
    ],
)
def test_every_family_trains_and_validates_on_real_pictures(name, real_data, tmp_path):
    two_small_ones = {'indices': 2, 'pipeline.2.scale': (320, 320)}
    options = {
        'train_cfg.max_epochs': 1,
        'train_dataloader.num_workers': 0,
        'val_dataloader.num_workers': 0,
        **{f'train_dataloader.dataset.{k}': v for k, v in two_small_ones.items()},
        'val_dataloader.dataset.indices': 2,
        'val_dataloader.dataset.pipeline.1.scale': (320, 320),
    }
    runner = train(
        name, work_dir=tmp_path, data=real_data / 'coco128', cfg_options=options
    )
    assert runner.iter == 1
    loss = runner.message_hub.get_scalar('train/loss').current()
    assert 0 < loss < 10
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
    assert 'val/time' in runner.message_hub.log_scalars


def test_voc_base_is_a_complete_data_set():
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/voc0712.py')
    years = [d.data_prefix.sub_data_root for d in cfg.train_dataloader.dataset.datasets]
    assert years == ['VOC2007/', 'VOC2012/']
    assert cfg.val_dataloader.dataset.data_prefix == dict(sub_data_root='VOC2007/')
    assert cfg.test_evaluator.type == 'VOCMetric'
    assert 'ann_file' not in cfg.test_evaluator


def test_preset_is_merged_and_options_win():
    options = {'train_cfg.max_epochs': 1}
    cfg = load_config('vovnet39_maskrcnn.py', options, preset='quick')
    assert cfg.train_cfg.max_epochs == 1
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert 'momentum' not in cfg.optim_wrapper.optimizer
    assert cfg.model.backbone.arch == '39'


def test_config_names_need_no_suffix():
    assert Path(config_path('vovnet39_maskrcnn')).name == 'vovnet39_maskrcnn.py'


def test_missing_config_names_the_nearest():
    with pytest.raises(UserError, match=r'Did you mean vovnet39_maskrcnn.py\?'):
        load_config('vovnet39_maskrcn.py')


def test_broken_config_is_a_message(tmp_path):
    path = tmp_path / 'broken.py'
    path.write_text('model = dict(\n')
    with pytest.raises(UserError, match=r'broken.py cannot be read: SyntaxError'):
        load_config(path)


def test_missing_base_is_a_message(tmp_path):
    path = tmp_path / 'child.py'
    path.write_text("_base_ = 'nowhere.py'\n")
    with pytest.raises(UserError, match=r'child.py cannot be read: .*nowhere.py'):
        load_config(path)
