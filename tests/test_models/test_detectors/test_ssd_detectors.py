"""The configs of the SSD family: layouts, published counts, and real pictures."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from mmeff.apis.config import load_config
from mmeff.apis.train import train
from mmeff.profiling.counts import count_params

CONFIGS = {  # sides of the maps
    'ssdlite320_mobilenetv2_coco': (20, 10, 5, 3, 2, 1),
    'ssdlite320_mobilenetv1_coco': (20, 10, 5, 3, 2, 1),
    'ssd300_mobilenetv1_voc': (19, 10, 5, 3, 2, 1),
    'pelee304_voc': (19, 19, 10, 5, 3, 1),
}


def build(name: str) -> nn.Module:
    cfg = load_config(name)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model)


def side(name: str) -> int:
    (scale,) = [
        step.scale for step in load_config(name).test_pipeline if step.type == 'Resize'
    ]
    assert scale[0] == scale[1]
    return scale[0]


@pytest.mark.parametrize('name', CONFIGS)
def test_maps_and_strides_fit(name):
    """The strides of the priors are the side of the input over those of the maps."""
    with torch.device('meta'):
        model = build(name).eval()
        scores, deltas = model(torch.empty(1, 3, side(name), side(name)), mode='tensor')
    head = model.bbox_head
    for i, cells in enumerate(CONFIGS[name]):
        boxes = head.num_base_priors[i]
        classes = head.num_classes + 1
        assert scores[i].shape == (1, boxes * classes, cells, cells)
        assert deltas[i].shape == (1, boxes * 4, cells, cells)
        assert head.prior_generator.strides[i][0] == pytest.approx(side(name) / cells)


@pytest.mark.parametrize(
    ('name', 'merged'),
    [('ssd300_mobilenetv1_voc', 5_783_417), ('pelee304_voc', 5_417_188)],
)
def test_published_parameters_have_norms_merged_into_convolutions(name, merged):
    """Then a norm's scale is gone and its shift is the convolution's bias."""
    with torch.device('meta'):
        model = build(name)
    scales = sum(
        m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)
    )
    assert count_params(model).total - scales == merged


def test_ssdlite_reads_its_first_map_from_an_expansion():
    with torch.device('meta'):
        model = build('ssdlite320_mobilenetv2_coco')
        first, last = model.backbone(torch.empty(1, 3, 320, 320))
    assert first.shape == (1, 576, 20, 20)
    assert last.shape == (1, 1280, 10, 10)


@pytest.mark.parametrize('name', CONFIGS)
def test_it_trains_and_predicts_on_real_pictures(name, real_data, tmp_path):
    """At the config's own rate, scaled to two images."""
    options = {
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 9,
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'train_dataloader.dataset.indices': 2,
        'val_dataloader.batch_size': 2,
        'val_dataloader.num_workers': 0,
        'val_dataloader.dataset.indices': 2,
        'default_hooks.checkpoint': None,
        'param_scheduler': [],  # no warm-up
    }
    runner = train(
        name, work_dir=tmp_path, data=real_data / 'coco128', cfg_options=options
    )
    assert runner.iter == 1
    losses = runner.message_hub.log_scalars
    for key in ('loss_cls', 'loss_bbox', 'loss'):
        assert 0 < losses[f'train/{key}'].current() < 1000
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())

    model = runner.model.eval()
    batch = next(iter(runner.val_dataloader))
    results = model.test_step(batch)
    assert len(results) == 2
    for sample in results:
        found = sample.pred_instances
        height, width = sample.ori_shape
        assert len(found) <= model.test_cfg.max_per_img
        assert found.bboxes.isfinite().all()
        assert (found.bboxes[:, 2] <= width + 1e-3).all()
        assert (found.bboxes[:, 3] <= height + 1e-3).all()
        assert (found.labels < model.bbox_head.num_classes).all()
        assert (found.scores > model.test_cfg.score_thr).all()
