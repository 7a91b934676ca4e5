"""DSOD300: the dense prediction maps, its backbones' forms, counts, configs that run."""

import copy

import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from mmdet.registry import DATASETS, MODELS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from mmeff.apis.train import train
from mmeff.config import load_config
from mmeff.datasets import adopt
from mmeff.fidelity import dsod
from mmeff.fidelity.check import image, randomise
from mmeff.models import DensePrediction, VoVNet

# config: the maps of a detector at 300 pixels, as (channels, side), and its priors.
VOVNET = [(256, 37), (384, 18), (512, 9), (256, 5), (256, 3), (256, 2)]
MAPS = {
    'dsod300_vovnet27-slim_voc.py': (VOVNET, 8108),
    'dsod300_vovnet27-slim-bottleneck_voc.py': (VOVNET, 8108),
    'dsod300_vovnet27-slim_coco.py': (VOVNET, 8108),
    'dsod300_densenet67_voc.py': (
        [(352, 38), (512, 19), (512, 10), (256, 5), (256, 3), (256, 2)],
        8744,
    ),
    'dsod300_densenet_voc.py': (
        [(800, 38), (512, 19), (512, 10), (256, 5), (256, 3), (256, 2)],
        8744,
    ),
}


def on_meta(config: str) -> nn.Module:
    cfg = load_config(config)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model).eval()


# --- the published networks ---------------------------------------------------------


def test_vovnet_meets_the_printed_numbers_when_they_are_truncated():
    """The fit of the layout rests on this; rounding would print 6.0M and 5.7G."""
    rows = [row for row in dsod.DETECTORS if row.note == dsod.FIT]
    assert len(rows) == 2
    for row in rows:
        params = f'{int(row.params / 1e5) / 10}M'
        macs = f'{int(float(row.macs[:-1]) * 10) / 10}G'
        assert (params, macs) == row.published


def test_statistics_of_norms_are_part_of_the_parameters_that_dsod_prints():
    for config, printed in (('densenet', 14.8), ('densenet67', 5.9)):
        model = on_meta(f'dsod300_{config}_voc.py')
        tensors = [*model.parameters(), *model.buffers()]
        assert round(sum(t.numel() for t in tensors if t.ndim) / 1e6, 1) == printed


@pytest.mark.parametrize('config', MAPS)
def test_maps_and_priors_are_those_of_the_papers(config):
    expected, num_priors = MAPS[config]
    model = on_meta(config)
    with torch.no_grad():
        maps = model.extract_feat(torch.empty(1, 3, 300, 300, device='meta'))
    assert [tuple(m.shape[1:3]) for m in maps] == expected
    assert model.neck.out_channels == tuple(channels for channels, _ in expected)
    grids = [m.shape[-2:] for m in maps]
    priors = model.bbox_head.prior_generator.grid_priors(grids, device='meta')
    assert sum(map(len, priors)) == num_priors
    assert not any(name.endswith('bias') for name, p in convolutions(model.bbox_head))


def convolutions(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [
        (f'{name}.{key}', parameter)
        for name, child in module.named_modules()
        if isinstance(child, nn.Conv2d)
        for key, parameter in child.named_parameters()
    ]


# --- the neck -----------------------------------------------------------------------


def norm_relu_conv(state: dict, norm: str, conv: str, x: Tensor, stride=1) -> Tensor:
    mean, var, weight, bias = (
        state[f'{norm}.{key}'][:, None, None]
        for key in ('running_mean', 'running_var', 'weight', 'bias')
    )
    x = ((x - mean) / (var + 1e-5).sqrt() * weight + bias).clamp(min=0)
    kernel = state[f'{conv}.weight']
    return F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)


def reference_pooled(state: dict, name: str, x: Tensor) -> Tensor:
    """2x2/2 max pool that rounds up, then norm, ReLU, 1x1."""
    x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-torch.inf)
    x = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    return norm_relu_conv(state, f'{name}.norm', f'{name}.conv', x)


def reference_maps(state: dict, maps: list[Tensor]) -> list[Tensor]:
    """The neck in eval mode, with as many blocks as there are weights."""
    maps = list(maps)
    if 'join.conv.weight' in state:
        maps[-1] = torch.cat((maps[-1], reference_pooled(state, 'join', maps[-2])), 1)
    i = 0
    while (name := f'blocks.{i}') + '.pooled.conv.weight' in state:
        half, x = f'{name}.learned', maps[-1]
        y = norm_relu_conv(state, f'{half}.norm1', f'{half}.conv1', x)
        y = norm_relu_conv(state, f'{half}.norm2', f'{half}.conv2', y, stride=2)
        maps.append(torch.cat((y, reference_pooled(state, f'{name}.pooled', x)), 1))
        i += 1
    return maps


def features(channels: list[int], sides: list[tuple[int, int]]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(2, c, *side, generator=generator, dtype=torch.float64)
        for c, side in zip(channels, sides, strict=True)
    ]


CASES = [
    (dict(in_channels=[6, 4], join_channels=4, widths=[8, 4]), [(19, 30), (10, 15)]),
    (dict(in_channels=[5, 6, 7], widths=[4, 2, 4]), [(37, 20), (18, 10), (9, 5)]),
]


@pytest.mark.parametrize(('kwargs', 'sides'), CASES)
def test_maps_equal_a_second_implementation(kwargs, sides):
    neck = randomise(DensePrediction(**kwargs)).double().eval()
    inputs = features(kwargs['in_channels'], sides)
    before = copy.deepcopy(inputs)
    with torch.no_grad():
        outputs = neck(inputs)
        expected = reference_maps(neck.state_dict(), inputs)
    assert_close(list(outputs), expected, rtol=1e-10, atol=1e-10)
    assert_close(inputs, before, rtol=0, atol=0)  # nothing was changed in place
    assert tuple(o.shape[1] for o in outputs) == neck.out_channels


@pytest.mark.parametrize(('kwargs', 'sides'), CASES)
def test_norms_fold_and_the_graph_is_one(kwargs, sides):
    neck = randomise(DensePrediction(**kwargs)).double().eval()
    inputs = features(kwargs['in_channels'], sides)
    fused = fuse_conv_bn(copy.deepcopy(neck))
    compiled = torch.compile(neck, backend='aot_eager', fullgraph=True)
    with torch.no_grad():
        expected = neck(inputs)
        assert_close(fused(inputs), expected)
        assert_close(compiled(inputs), expected)


def test_every_weight_gets_a_gradient_and_group_norm_trains_on_one_image():
    neck = DensePrediction([16, 8], 8, [8, 8], norm_cfg=dict(type='GN', num_groups=4))
    neck.init_weights()
    maps = neck([torch.rand(1, 16, 9, 9), torch.rand(1, 8, 5, 5)])
    assert [m.shape[2] for m in maps] == [9, 5, 3, 2]
    sum(m.square().mean() for m in maps).backward()
    assert all(p.grad.isfinite().all() for p in neck.parameters())


def test_joining_needs_a_map_to_join():
    with pytest.raises(ValueError, match=r'join_channels=4: in_channels=\[8\] has one'):
        DensePrediction([8], join_channels=4)


# --- the ablation of VoVNet ---------------------------------------------------------


def test_bottlenecks_are_half_as_wide_and_stand_before_every_3x3():
    model = randomise(VoVNet('27-slim', form='caffe', bottleneck=True)).double().eval()
    state, x = model.state_dict(), image(16, 24, torch.float64)
    module, name = model.stages[0].osa1, 'stages.0.osa1'
    x = x.repeat(1, 43, 1, 1)[:, :128]
    parts = [x]
    for i in range(5):
        narrow = conv_norm_relu(state, f'{name}.convs.{i}.reduce', parts[-1])
        assert narrow.shape[1] == 32
        parts.append(conv_norm_relu(state, f'{name}.convs.{i}.expand', narrow))
    expected = conv_norm_relu(state, f'{name}.aggregate', torch.cat(parts, 1))
    with torch.no_grad():
        assert_close(module(x), expected, rtol=1e-10, atol=1e-10)
    kernels = [
        m.kernel_size[0] for m in model.stages.modules() if isinstance(m, nn.Conv2d)
    ]
    assert kernels == 4 * [*5 * [1, 3], 1]


def conv_norm_relu(state: dict, name: str, x: Tensor) -> Tensor:
    weight = state[f'{name}.conv.weight']
    x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    mean, var, weight, bias = (
        state[f'{name}.norm.{key}'][:, None, None]
        for key in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return ((x - mean) / (var + 1e-5).sqrt() * weight + bias).clamp(min=0)


def test_depthwise_convolutions_take_no_bottleneck():
    with pytest.raises(ValueError, match="bottleneck=True: the 3x3 of 'v2-19-dw'"):
        VoVNet('v2-19-dw', bottleneck=True)


# --- configs that run ---------------------------------------------------------------


def test_preset_trains_and_predicts_on_real_pictures(real_data, tmp_path):
    """Without a preset every config does so in test_configs.py."""
    options = {
        'train_cfg.max_epochs': 1,
        'train_cfg.val_begin': 1,
        'train_dataloader.num_workers': 0,
        'train_dataloader.batch_size': 2,
        'train_dataloader.dataset.indices': 2,
        'val_dataloader.num_workers': 0,
        'val_dataloader.dataset.indices': 2,
        'default_hooks.checkpoint.interval': -1,
        'default_hooks.checkpoint.save_best': None,
    }
    runner = train(
        'dsod300_vovnet27-slim_coco.py',
        tmp_path,
        real_data / 'bccd',
        preset='cells',
        cfg_options=options,
    )
    assert runner.iter == 1
    loss = runner.message_hub.get_scalar('train/loss').current()
    assert 0 < loss < 20
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
    for _ in range(20):  # whatever the augmentation draws
        inputs = runner.train_dataloader.dataset[0]['inputs']
        assert inputs.shape == (3, 320, 320)
    pictures = next(iter(runner.val_dataloader))
    with torch.no_grad():
        found = runner.model.eval().test_step(pictures)
    for sample in found:
        height, width = sample.ori_shape
        boxes, scores = sample.pred_instances.bboxes, sample.pred_instances.scores
        assert boxes.isfinite().all()
        assert (boxes >= 0).all()
        corner = boxes.new_tensor([width, height, width, height])
        assert (boxes <= corner + 1e-3).all()
        assert len(boxes) <= 200
        assert ((scores >= 0.01) & (scores <= 1)).all()


# --- the presets for small data -----------------------------------------------------


def test_small_data_are_flipped_and_zoomed_less_than_ssd_does():
    for preset, directions in (
        ('scratch', 'horizontal'),
        ('cells', ['horizontal', 'vertical', 'diagonal']),
    ):
        cfg = load_config('dsod300_vovnet27-slim_coco.py', preset=preset)
        steps = {s.type: s for s in cfg.train_dataloader.dataset.pipeline}
        assert steps['RandomFlip'].get('direction', 'horizontal') == directions
        assert steps['Expand'].ratio_range[1] < 4
        assert steps['Resize'].scale == (320, 320)
        assert cfg.val_dataloader.dataset.pipeline[1].scale == (320, 320)
        assert cfg.optim_wrapper.optimizer.type == 'AdamW'
        assert 'momentum' not in cfg.optim_wrapper.optimizer


def test_presets_start_every_prior_from_background():
    """Chance 0.1 of one of 80 objects: log(80 * .9 / .1) for background."""
    cfg = load_config('dsod300_vovnet27-slim_coco.py', preset='scratch')
    init_default_scope(cfg.default_scope)
    cfg.model.bbox_head.update(train_cfg=cfg.model.train_cfg, test_cfg=None)
    head = MODELS.build(cfg.model.bbox_head)
    head.init_weights()
    for predictor in head.cls_convs:
        bias = predictor[-1].bias.detach().view(-1, 81)
        assert not bias[:, :80].any()
        torch.testing.assert_close(bias[:, 80], torch.full_like(bias[:, 80], 6.57925))


def test_objects_that_touch_are_kept_apart_from_duplicates_by_a_higher_overlap():
    for preset, overlap in ((None, 0.45), ('scratch', 0.45), ('cells', 0.6)):
        cfg = load_config('dsod300_vovnet27-slim_coco.py', preset=preset)
        assert cfg.model.test_cfg.nms.iou_threshold == overlap


def test_presets_keep_the_hooks_of_every_config():
    plain = load_config('dsod300_vovnet27-slim_coco.py')
    cfg = load_config('dsod300_vovnet27-slim_coco.py', preset='scratch')
    assert cfg.custom_hooks[:-1] == plain.custom_hooks
    assert cfg.custom_hooks[-1].type == 'EMAHook'


@pytest.mark.slow
def test_four_pictures_are_learned_by_heart_in_forty_steps(real_data, tmp_path):
    torch.manual_seed(0)
    cfg = load_config('dsod300_vovnet27-slim_coco.py', preset='cells')
    adopt(cfg, real_data / 'bccd', tmp_path)
    init_default_scope(cfg.default_scope)
    load, boxes, pack = (cfg.train_pipeline[i] for i in (0, 1, -1))
    resize = dict(type='Resize', scale=(160, 160), keep_ratio=False)
    dataset = {**cfg.train_dataloader.dataset, 'indices': 4}
    pictures = DATASETS.build({**dataset, 'pipeline': [load, boxes, resize, pack]})
    batch = [pictures[i] for i in range(4)]
    batch = {key: [picture[key] for picture in batch] for key in batch[0]}
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for _ in range(40):
        model.train_step(batch, wrapper)
    with torch.no_grad():
        results = model.eval().test_step(batch)
    found = objects = detections = 0
    for sample in results:
        gt, kept = sample.gt_instances, sample.pred_instances
        kept = kept[kept.scores > 0.3]
        # Detections are in pixels of the picture, its objects in those of the input.
        wanted = gt.bboxes / gt.bboxes.new_tensor(2 * sample.scale_factor)
        overlaps = bbox_overlaps(wanted, kept.bboxes)
        same = gt.labels[:, None] == kept.labels
        found += ((overlaps > 0.5) & same).any(dim=1).sum().item()
        objects, detections = objects + len(gt), detections + len(kept)
    assert found >= 0.95 * objects
    assert detections <= 1.2 * objects
