"""Counting works on every config of mmeff, on stock detectors, on plain torchvision."""

import importlib.resources
from pathlib import Path
from time import process_time

import pytest
import torch
import torchvision
from mmengine.config import Config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmeff.checkpoints.detector import build_detector
from mmeff.config import CONFIGS, load_config
from mmeff.profiling.counts import (
    Operations,
    count_operations,
    count_params,
    sum_parts,
)
from mmeff.profiling.detector import DetectorRegions
from mmeff.profiling.inputs import make_batch
from mmeff.profiling.operators import no_fused_layers

STOCK = Path(importlib.resources.files('mmdet') / '.mim' / 'configs')
LIGHT = (
    'mobilenetv2_fasterrcnn.py',
    'pelee304_voc.py',
    'ssdlite320_mobilenetv2_coco.py',
    'vovnet27-slim_rtmdet.py',
)
HEAVY = sorted({path.name for path in CONFIGS.glob('*.py')} - set(LIGHT))
LIGHT_STOCK = (
    'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'yolox/yolox_tiny_8xb8-300e_coco.py',
)
HEAVY_STOCK = (
    'atss/atss_r50_fpn_1x_coco.py',
    'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py',
    'dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    'detr/detr_r50_8xb2-150e_coco.py',
    'dino/dino-4scale_r50_8xb2-12e_coco.py',
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    'gfl/gfl_r50_fpn_1x_coco.py',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'retinanet/retinanet_r50_fpn_1x_coco.py',
    'solo/solo_r50_fpn_1x_coco.py',
)
FIXED_SIZE = ('dsod', 'pelee304', 'refinedet', 'ssd')  # for which their heads are made


def slow(values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def regions(cfg: Config, shape: tuple[int, int] | None) -> DetectorRegions:
    return DetectorRegions(build_detector(cfg, device='cpu'), make_batch(cfg, shape))


def check(model: nn.Module, run) -> Operations:
    """Count a run; torch's own counter, which names no layers, has the same sum."""
    counted = count_operations(run, model)
    # Its hooks fail on views of parameters that want gradients, as Deformable DETR has.
    model.requires_grad_(False)
    with torch.no_grad(), no_fused_layers(), FlopCounterMode(display=False) as stock:
        run()
    attention = sum(layer.macs for layer in counted.layers if layer.op == 'attention')
    assert 2 * (counted.macs - attention) == stock.get_total_flops() > 0
    for layer in counted.layers:
        module = model.get_submodule(layer.name)
        if isinstance(module, nn.Conv2d):
            assert layer.op == 'convolution'
    parts = sum_parts(model, counted)
    for key, total in (
        ('params_m', count_params(model).total / 1e6),
        ('macs_g', counted.macs / 1e9),
        ('activations_m', counted.activations / 1e6),
        ('memory_access_m', counted.memory_access / 1e6),
        ('elementwise_access_m', counted.elementwise_access / 1e6),
    ):
        assert sum(part[key] for part in parts) == pytest.approx(total)
    return counted


@pytest.mark.parametrize('name', [*LIGHT, *slow(HEAVY)])
def test_every_config_is_counted(name):
    shape = None if name.startswith(FIXED_SIZE) else (320, 320)
    detector = regions(load_config(name), shape)
    counted = check(detector.model, detector.forward)
    parts = [part['name'] for part in sum_parts(detector.model, counted)]
    assert parts[:2] == ['backbone', 'neck']
    heads = [part for part in parts[2:] if part.endswith('_head')]
    assert heads
    assert {layer.name.split('.')[0] for layer in counted.layers} == {
        part.split('.')[0] for part in ('backbone', 'neck', *heads)
    }


@pytest.mark.parametrize('name', [*LIGHT_STOCK, *slow(HEAVY_STOCK)])
def test_stock_detectors_are_counted(name):
    detector = regions(Config.fromfile(STOCK / name), (320, 320))
    counted = check(detector.model, detector.forward)
    deformable = 'torchvision::deform_conv2d' in counted.uncounted
    assert deformable == name.startswith('dcnv2')


@pytest.mark.parametrize('name', ['resnet18', 'swin_t'])
def test_classifiers_of_torchvision_are_counted(name):
    model = torchvision.models.get_model(name).eval()
    check(model, lambda: model(torch.zeros(1, 3, 64, 64)))


@pytest.mark.parametrize(
    'name',
    ['ssdlite320_mobilenet_v3_large', *slow(['fasterrcnn_mobilenet_v3_large_320_fpn'])],
)
def test_detectors_of_torchvision_are_counted(name):
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    counted = check(model.eval(), lambda: model([torch.zeros(3, 320, 320)]))
    published = torchvision.models.get_model_weights(name).DEFAULT.meta['_ops']
    if name.startswith('ssdlite'):  # others depend on how many boxes are found
        assert counted.macs / 1e9 == pytest.approx(published, abs=0.0006)


def test_vision_transformer_has_the_products_of_its_formula():
    """Attention is in it, which torch's counter does not see."""
    width, patches, layers = 768, (64 // 16) ** 2, 12
    tokens = patches + 1
    model = torchvision.models.vit_b_16(image_size=64).eval()
    counted = check(model, lambda: model(torch.zeros(1, 3, 64, 64)))
    attention = 2 * tokens * tokens * width
    linear = tokens * width * (3 * width + width + 4 * width + 4 * width)
    embedding = patches * width * (3 * 16 * 16)
    assert counted.macs == embedding + layers * (attention + linear) + width * 1000


def test_counting_takes_less_than_two_forwards():
    detector = regions(load_config('mobilenetv2_retinanet.py'), (320, 320))

    def fastest(run) -> float:
        """Seconds that this process computes for, whatever else the machine does."""
        seconds = []
        for _ in range(4):
            start = process_time()
            run()
            seconds.append(process_time() - start)
        return min(seconds)

    forward = fastest(detector.forward)
    counting = fastest(lambda: count_operations(detector.forward, detector.model))
    assert counting < 2 * forward
