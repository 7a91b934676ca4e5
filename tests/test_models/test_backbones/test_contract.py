"""What a detector asks of a backbone, of every family alike."""

import copy
import pickle

import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from mmdet.registry import MODELS
from torch import nn
from torch.testing import assert_close

from mmeff.models import backbones

from backbone_cases import CASES, FAMILIES, make, total, varied

pytestmark = pytest.mark.parametrize('family', FAMILIES)


def all_stages(family: str) -> tuple[int, ...]:
    with torch.device('meta'):
        return tuple(range(len(make(family).stage_channels)))


def test_maps_have_the_channels_and_strides_that_are_announced(family):
    model = varied(family, out_indices=all_stages(family))
    for height, width in ((64, 96), (75, 117)):
        outputs = model(torch.rand(1, 3, height, width))
        assert tuple(o.shape[1] for o in outputs) == model.out_channels
        for output, stride in zip(outputs, model.out_strides, strict=True):
            for side, length in zip(output.shape[2:], (height, width), strict=True):
                assert abs(side - length / stride) < 1
    strides = (4, 8, 16, 32, 32)[: len(outputs)]
    assert model.out_strides == strides


def test_any_subset_of_stages_equals_the_full_network_and_trains_whole(family):
    stages = all_stages(family)
    full = varied(family, out_indices=stages)
    x = torch.rand(2, 3, 64, 96)
    expected = full(x)
    subsets = [stages[:1], stages[-1:], stages[1:3], (stages[0], stages[-1])]
    for subset in subsets:
        model = make(family, out_indices=subset).eval()
        model.load_state_dict(
            {k: v for k, v in full.state_dict().items() if k in model.state_dict()}
        )
        outputs = model(x)
        assert_close(outputs, tuple(expected[i] for i in subset), rtol=0, atol=0)
        assert model.out_channels == tuple(full.out_channels[i] for i in subset)
        total(outputs).backward()
        assert all(p.grad is not None for p in model.parameters())


def test_frozen_stages_keep_weights_and_statistics(family):
    last = len(all_stages(family))
    for frozen_stages in (-1, 0, 2, last):
        model = make(
            family, frozen_stages=frozen_stages, out_indices=range(last)
        ).train()
        before = copy.deepcopy(model.state_dict())
        frozen = tuple(
            ['stem.', *(f'stages.{i}.' for i in range(last))][: frozen_stages + 1]
        )
        trained = [p for p in model.parameters() if p.requires_grad]
        if trained:
            total(model(torch.rand(2, 3, 64, 96))).backward()
            torch.optim.SGD(trained, lr=1.0).step()
        for key, value in model.state_dict().items():
            if key.startswith(frozen):
                assert torch.equal(value, before[key]), key
            elif key.endswith('num_batches_tracked'):
                assert value == before[key] + 1, key
        names = [key for key, p in model.named_parameters() if not p.requires_grad]
        assert all(name.startswith(frozen) for name in names)
        assert len(trained) + len(names) == len(list(model.parameters()))


def test_norm_eval_keeps_statistics_but_trains_weights(family):
    model = make(family, norm_eval=True).train()
    before = copy.deepcopy(model.state_dict())
    total(model(torch.rand(2, 3, 64, 96))).backward()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is not None for p in model.parameters())


def test_checkpointing_keeps_outputs_and_gradients(family):
    plain = varied(family).double().train()
    saving = make(family, with_cp=True).double().train()
    saving.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 64, 96).double()
    for model in (plain, saving):
        total(model(x)).backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        assert_close(a.grad, b.grad)
    # Some statistics moved twice: this pass really went through checkpoints.
    moved = [
        int(b - a)
        for (key, a), b in zip(
            plain.state_dict().items(), saving.state_dict().values(), strict=True
        )
        if key.endswith('num_batches_tracked')
    ]
    assert max(moved) == 1


def test_group_norm_trains_on_one_image(family):
    model = make(family, norm_cfg=dict(type='GN', num_groups=1)).train()
    model.init_weights()
    total(model(torch.rand(1, 3, 64, 96))).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())


def test_sync_batch_norm_has_the_keys_of_batch_norm(family):
    plain = varied(family)
    built = make(family, norm_cfg=dict(type='SyncBN')).eval()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
    count = sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    x = torch.rand(1, 3, 64, 96)
    eps = {m.eps for m in plain.modules() if isinstance(m, nn.BatchNorm2d)}
    for model in (built, converted):
        model.load_state_dict(plain.state_dict())
        norms = [m for m in model.modules() if isinstance(m, nn.SyncBatchNorm)]
        assert len(norms) == count
        for norm in norms:  # a family's default eps belongs to its default norm
            norm.eps = max(eps)
        assert_close(model(x), plain(x))


def test_copies_give_the_same_outputs(family, tmp_path):
    model = varied(family, frozen_stages=1)
    path = tmp_path / 'weights.pth'
    torch.save(model.state_dict(), path)
    loaded = make(family)
    loaded.load_state_dict(torch.load(path, weights_only=True))
    pretrained = make(family, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    pretrained.init_weights()
    x = torch.rand(1, 3, 64, 96)
    for other in (
        loaded,
        pretrained,
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert_close(other.eval()(x), model(x), rtol=0, atol=0)


def test_default_initialisation_keeps_signals_finite(family):
    torch.manual_seed(0)
    model = make(family)
    model.init_weights()
    outputs = model.train()(torch.randn(2, 3, 64, 96))
    assert all(o.isfinite().all() and o.std() > 1e-3 for o in outputs)
    assert all(
        (m.weight == 1).all() and (m.bias == 0).all()
        for m in model.modules()
        if isinstance(m, nn.BatchNorm2d)
    )


def test_channels_last_gives_the_same_outputs(family):
    model = varied(family).double()
    x = torch.rand(1, 3, 64, 96).double()
    expected = model(x)
    outputs = model.to(memory_format=torch.channels_last)(
        x.contiguous(memory_format=torch.channels_last)
    )
    assert_close(outputs, expected)
    for output in outputs:
        assert output.is_contiguous(memory_format=torch.channels_last)


def test_norms_fold_into_convolutions(family):
    model = varied(family).double()
    fused = fuse_conv_bn(copy.deepcopy(model))
    x = torch.rand(1, 3, 64, 96).double()
    assert_close(fused(x), model(x))


def test_classifier_gives_logits_of_all_stages(family):
    model = make(family, num_classes=7, out_indices=(0,)).eval()
    assert model(torch.rand(2, 3, 64, 96)).shape == (2, 7)


def test_in_channels_of_the_image_can_differ(family):
    assert make(family, in_channels=1)(torch.rand(2, 1, 64, 96))[0].shape[0] == 2


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'out_indices': (1, 7)}, r'out_indices=\(1, 7\): expected increasing indices'),
        ({'out_indices': (2, 1)}, 'with strides .* and channels'),
        ({'out_indices': (1, 1)}, 'expected increasing indices'),
        ({'out_indices': ()}, 'expected increasing indices'),
        ({'frozen_stages': 9}, 'frozen_stages=9: expected -1 to'),
        ({'frozen_stages': 2, 'out_indices': (0,)}, 'expected -1 to 1'),
        ({'norm_cfg': dict(type='GN', num_groups=7)}, 'num_groups=7 does not divide'),
    ],
)
def test_wrong_arguments_say_what_is_expected(family, kwargs, message):
    with pytest.raises(ValueError, match=message), torch.device('meta'):
        make(family, **kwargs)


def test_every_named_variant_is_listed_when_the_name_is_wrong(family):
    if 'arch' not in CASES[family]:
        pytest.skip('scaled by a number, has no names')
    with pytest.raises(ValueError, match=r"arch='nothing': expected one of \w"):
        make(family, arch='nothing')


def test_mmdet_builds_it_by_name(family):
    model = MODELS.build(dict(type=f'mmeff.{family}', **CASES[family]))
    assert type(model) is getattr(backbones, family)
