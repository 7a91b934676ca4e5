"""RefineDet as its configs build it: the parts, and real pictures in and out."""

import pytest
import torch
from mmdet.apis import inference_detector
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed

from mmeff.config import load_config
from mmeff.fidelity import refinedet
from mmeff.fidelity.detectors import check_detector
from mmeff.registry import DATASETS, MODELS

NAME = 'refinedet320_vovnet39_coco.py'
ROWS = refinedet.DETECTORS
SIZE = 128


@pytest.fixture
def cfg() -> Config:
    """VoVNet-39, but on 128 pixels; augmentation and weights are the same each time."""
    set_random_seed(0)
    scale = (SIZE, SIZE)
    options = {
        'train_dataloader.dataset.pipeline.5.scale': scale,
        'test_dataloader.dataset.pipeline.1.scale': scale,
    }
    found = load_config(NAME, options)
    init_default_scope(found.default_scope)
    return found


def test_published_parts_of_vovnet39_make_up_the_whole():
    row = ROWS[0]
    result = check_detector(row, load_config(row.config))
    params, macs = map(sum, zip(*result.parts.values(), strict=True))
    assert (params, macs) == (result.params, result.macs)
    assert params == sum(part for part, _ in row.parts.values()) == 56_283_844


@pytest.mark.parametrize('config', sorted({row.config for row in ROWS}))
def test_head_reads_what_the_neck_puts_out(config):
    cfg = load_config(config)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
        outputs = model(torch.empty(1, 3, SIZE, SIZE), mode='tensor')
    assert model.neck.source_channels == tuple(cfg.model.bbox_head.in_channels)
    widths = [6, 12, 3 * (cfg.model.bbox_head.num_classes + 1), 12]
    assert [maps[0].shape[1] for maps in outputs] == widths
    for maps in outputs:
        assert [tuple(x.shape[2:]) for x in maps] == [(16, 16), (8, 8), (4, 4), (2, 2)]


def test_learns_from_real_pictures_at_the_rate_of_the_config(cfg, real_data):
    settings = cfg.train_dataloader.dataset
    settings.update(data_root=str(real_data / 'coco128'), indices=2)
    data = pseudo_collate(list(DATASETS.build(settings)))
    model = MODELS.build(cfg.model).train()
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    processed = model.data_preprocessor(data, training=True)
    assert processed['inputs'].shape == (2, 3, SIZE, SIZE)
    losses = model(**processed, mode='loss')
    assert list(losses) == [
        'loss_arm_cls',
        'loss_arm_bbox',
        'loss_odm_cls',
        'loss_odm_bbox',
    ]
    first, _ = model.parse_losses(losses)
    first.backward()
    assert all(p.grad is not None for p in model.parameters())
    # A level on which nothing matched gives its own predictions no gradient.
    idle = [
        name for name, p in model.named_parameters() if p.dim() > 1 and not p.grad.any()
    ]
    assert all(name.startswith('bbox_head.') for name in idle)
    for _ in range(3):
        logs = model.train_step(data, wrapper)
    assert 0 < logs['loss'] < first
    assert all(value.isfinite().all() for value in model.state_dict().values())


@torch.no_grad()
def test_detects_in_real_pictures(cfg, real_data):
    model = MODELS.build(cfg.model).eval()
    model.init_weights()
    model.cfg = cfg
    path = str(sorted((real_data / 'coco128' / 'train2017').glob('*.jpg'))[0])
    sample = inference_detector(model, path)
    found, (height, width) = sample.pred_instances, sample.ori_shape
    # Untrained, all scores are near 1/81 > score_thr.
    assert 0 < len(found) <= 500
    assert found.scores.diff().max() <= 0
    assert found.bboxes.min() >= 0
    assert (found.bboxes <= torch.tensor([width, height] * 2) + 1e-3).all()


@torch.no_grad()
def test_onnx_gives_the_same_outputs(cfg, tmp_path):
    """Of all four kinds of predictions, on VoVNet-27-slim."""
    pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    runtime = pytest.importorskip('onnxruntime')
    cfg.model.backbone.arch = '27-slim'
    cfg.model.neck.in_channels = [256, 384, 512]
    cfg.model.bbox_head.update(in_channels=[256, 384, 512, 512], num_classes=2)
    model = MODELS.build(cfg.model)
    model.init_weights()
    image, path = torch.rand(1, 3, 64, 128), str(tmp_path / 'refinedet.onnx')
    model.train()(100 * image.repeat(2, 1, 1, 1))  # statistics of norms
    model.eval()
    expected = [level for maps in model(image) for level in maps]
    assert len(expected) == 16
    torch.onnx.export(model, (image,), path, dynamo=True, input_names=['image'])
    session = runtime.InferenceSession(path, providers=['CPUExecutionProvider'])
    found = session.run(None, {'image': image.numpy()})
    for level, wanted in zip(found, expected, strict=True):
        error = (torch.from_numpy(level) - wanted).abs().max()
        assert error <= 1e-4 * wanted.abs().max()
