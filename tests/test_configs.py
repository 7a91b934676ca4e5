"""Every config that travels with mmeff builds, and agrees with itself."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmeff.apis.train import train
from mmeff.config import CONFIGS, config_path, load_config
from mmeff.errors import UserError

NAMES = sorted(
    str(path.relative_to(CONFIGS))
    for path in CONFIGS.glob('**/*.py')
    if '_base_' not in path.parts
)


# Sides of the pictures that a config is tried on, by the start of its name; None: its own.
SIDES = {'pelee': None, 'ssd': None, 'vovnet27-slim_rtmdet': None, 'dsod': 160, '': 128}
# One of each kind of detector always runs, the rest when it is asked for.
KINDS = (
    'dsod300_vovnet27-slim_voc.py',
    'ghostnet_fasterrcnn.py',
    'mobilenetv2_retinanet.py',
    'pelee304_voc.py',
    'refinedet320_vovnet39_coco.py',
    'ssd300_mobilenetv1_voc.py',
    'ssdlite320_mobilenetv2_coco.py',
    'vovnet-v2-19-slim-dw_fasterrcnn-fpnlite.py',
    'vovnet27-slim_rtmdet.py',
    'vovnet39_maskrcnn.py',
)
RUNS = [
    name if name in KINDS else pytest.param(name, marks=pytest.mark.slow)
    for name in NAMES
]


@pytest.fixture(params=NAMES)
def cfg(request) -> Config:
    return load_config(request.param)


def test_model_builds_with_matching_channels(cfg):
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
        maps = backbone(torch.empty(2, 3, 64, 64))
    assert [x.shape[1] for x in maps] == list(cfg.model.neck.in_channels)


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


def small_pictures(cfg: Config) -> None:
    """Scale pictures to a side at which all levels still have a cell."""
    name = Path(cfg.filename).name
    side = next(side for start, side in SIDES.items() if name.startswith(start))
    if side is None:
        return
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            for i, step in enumerate(dataset.pipeline):
                if step.type in ('Resize', 'RandomChoiceResize'):
                    keep = step.get('keep_ratio', True)
                    small = dict(type='Resize', scale=(side, side), keep_ratio=keep)
                    dataset.pipeline[i] = small


def few_boxes(cfg: Config) -> None:
    """Few boxes in second stages and NMS, of whatever score: an untrained detector has
    thousands, all near the threshold.
    """
    few = dict(score_thr=0.0, nms_pre=20, max_per_img=20)
    if 'roi_head' not in cfg.model:
        cfg.model.test_cfg.update(few)
        return
    cfg.model.train_cfg.rpn_proposal.update(nms_pre=100, max_per_img=50)
    cfg.model.train_cfg.rcnn.sampler.num = 16
    cfg.model.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
    cfg.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=20)


def rate_of_two_images(cfg: Config) -> float:
    rate, scaling = cfg.optim_wrapper.optimizer.lr, cfg.auto_scale_lr
    return rate * (2 / scaling.base_batch_size) if scaling.enable else rate


@pytest.mark.parametrize('name', RUNS)
def test_it_trains_validates_and_predicts_on_real_pictures(name, real_data, tmp_path):
    """Two steps at the full rate, scaled to two images; widths are those of the config."""
    cfg = load_config(name)
    small_pictures(cfg)
    few_boxes(cfg)
    options = {
        'train_cfg.max_epochs': 1,
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'train_dataloader.dataset.indices': 4,
        'val_dataloader.batch_size': 2,
        'val_dataloader.num_workers': 0,
        'val_dataloader.dataset.indices': 2,
        'param_scheduler': None,  # no warm-up
        'default_hooks.checkpoint': None,
    }
    runner = train(cfg, tmp_path, real_data / 'coco128', cfg_options=options)
    assert set(runner.optim_wrapper.get_lr()['lr']) == {rate_of_two_images(cfg)}
    losses, _ = runner.message_hub.get_scalar('train/loss').data
    assert len(losses) == 2
    assert all(0 < loss < 300 for loss in losses), losses
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
    assert 'val/time' in runner.message_hub.log_scalars
    for sample in runner.model.val_step(next(iter(runner.val_dataloader))):
        found, (height, width) = sample.pred_instances, sample.ori_shape
        # two steps without warm-up may teach a second stage background and nothing else
        assert ('rcnn' not in name) <= len(found) <= 20
        assert ((found.scores > 0) & (found.scores <= 1)).all()
        assert (found.labels < 80).all()
        assert (found.bboxes >= 0).all()
        assert (found.bboxes <= torch.tensor([width, height] * 2) + 1e-3).all()
        assert ('masks' in found) is ('maskrcnn' in name)


def test_rates_follow_the_batch_by_themselves_but_for_adamw(cfg):
    adaptive = cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.auto_scale_lr.enable is not adaptive


@pytest.mark.parametrize(
    ('name', 'images', 'rate'),
    [
        ('vovnet39_maskrcnn.py', 16, 0.02),  # VoVNet paper: 8 GPUs x 2
        ('vovnet-v2-39_fasterrcnn.py', 16, 0.02),
        ('mobilenetv2_fasterrcnn.py', 16, 0.02),  # mmdet's 1x
        ('mobilenetv2_retinanet.py', 16, 0.01),
        ('refinedet320_vovnet39_coco.py', 32, 0.001),
        ('refinedet320_vovnet39_voc.py', 32, 0.001),
        ('refinedet512_vovnet39_coco.py', 20, 0.001),
        ('dsod300_vovnet27-slim_voc.py', 128, 0.1),
        ('pelee304_voc.py', 32, 0.005),
        ('ssd300_mobilenetv1_voc.py', 24, 0.0005),
        ('ssdlite320_mobilenetv2_coco.py', 24, 0.004),
        ('ssdlite320_mobilenetv2-mmdet_coco.py', 192, 0.015),
    ],
)
def test_rates_are_those_of_the_published_batches(name, images, rate):
    cfg = load_config(name)
    assert cfg.auto_scale_lr.base_batch_size == images
    assert cfg.optim_wrapper.optimizer.lr == rate


def test_voc_base_is_a_complete_data_set():
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/voc0712.py')
    years = [d.data_prefix.sub_data_root for d in cfg.train_dataloader.dataset.datasets]
    assert years == ['VOC2007/', 'VOC2012/']
    assert cfg.val_dataloader.dataset.data_prefix == dict(sub_data_root='VOC2007/')
    assert cfg.test_evaluator.type == 'mmeff.VOCMetric'
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
