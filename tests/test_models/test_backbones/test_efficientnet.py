"""EfficientNet: its forms, its maps, and weights as they are published."""

import pytest
import torch
from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from torch import nn
from torch.testing import assert_close
from torchvision.ops import StochasticDepth

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import find_layout
from mmeff.errors import UserError
from mmeff.fidelity.check import image, randomise, without_chance
from mmeff.fidelity.row import Reference
from mmeff.models.backbones.efficientnet import ARCHS, EfficientNet
from mmeff.models.layers import SqueezeExcite

# Stem, what the stages put out, blocks in the stem and in stages 0 to 3.
SHAPES = {
    'b0': (32, (24, 40, 112, 320, 1280), (1, 2, 2, 6, 5)),
    'b1': (32, (24, 40, 112, 320, 1280), (2, 3, 3, 8, 7)),
    'b2': (32, (24, 48, 120, 352, 1408), (2, 3, 3, 8, 7)),
    'b3': (40, (32, 48, 136, 384, 1536), (2, 3, 3, 10, 8)),
    'b4': (48, (32, 56, 160, 448, 1792), (2, 4, 4, 12, 10)),
    'b5': (48, (40, 64, 176, 512, 2048), (3, 5, 5, 14, 12)),
    'b6': (56, (40, 72, 200, 576, 2304), (3, 6, 6, 16, 14)),
    'b7': (64, (48, 80, 224, 640, 2560), (4, 7, 7, 20, 17)),
    'lite0': (32, (24, 40, 112, 320, 1280), (1, 2, 2, 6, 5)),
    'lite1': (32, (24, 40, 112, 320, 1280), (1, 3, 3, 8, 6)),
    'lite2': (32, (24, 48, 120, 352, 1280), (1, 3, 3, 8, 6)),
    'lite3': (32, (32, 48, 136, 384, 1280), (1, 3, 3, 10, 7)),
    'lite4': (32, (32, 56, 160, 448, 1280), (1, 4, 4, 12, 9)),
}
OF_TF = dict(type='BN', eps=1e-3, momentum=0.01)


def on_meta(*args, **kwargs) -> EfficientNet:
    with torch.device('meta'):
        return EfficientNet(*args, **kwargs)


def norms(model: nn.Module) -> list[nn.Module]:
    kinds = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm)
    return [m for m in model.modules() if isinstance(m, kinds)]


def reference(library: str, name: str, **kwargs) -> nn.Module:
    pytest.importorskip(library)
    return without_chance(randomise(Reference(library, name, kwargs).build()))


def loaded(theirs: nn.Module, path, *args, **kwargs) -> EfficientNet:
    """Ours with the weights of another library's, through a file."""
    torch.save(theirs.state_dict(), path)
    model = without_chance(EfficientNet(*args, **kwargs))
    load_backbone_weights(model, str(path))
    return model


@pytest.mark.parametrize('arch', ARCHS)
def test_widths_and_depths_are_those_of_the_variant(arch):
    stem, channels, depths = SHAPES[arch]
    model = on_meta(arch, out_indices=(0, 1, 2, 3, 4))
    assert model.stem[0].conv.out_channels == stem
    assert model.out_channels == channels
    parts = [model.stem[1:], *model.stages[:4]]
    assert tuple(len(part) for part in parts) == depths
    excited = any(isinstance(m, SqueezeExcite) for m in model.modules())
    act = nn.ReLU6 if arch.startswith('lite') else nn.SiLU
    assert excited != arch.startswith('lite')
    assert isinstance(model.stem[0].act, act)


def test_variants_know_what_images_they_were_made_for():
    sides = {arch: on_meta(arch, out_indices=(0,)).resolution for arch in ARCHS}
    assert list(sides.values())[:8] == [224, 240, 260, 300, 380, 456, 528, 600]
    assert list(sides.values())[8:] == [224, 240, 260, 280, 300]


@pytest.mark.parametrize(('arch', 'expected'), [('b0', 0.2), ('b7', 0.5)])
def test_dropout_is_the_variants_unless_it_is_given(arch, expected):
    assert on_meta(arch, num_classes=10).head.dropout.p == expected
    assert on_meta(arch, num_classes=10, dropout=0.1).head.dropout.p == 0.1
    assert not hasattr(on_meta(arch, num_classes=10, dropout=0.0).head, 'dropout')


def test_later_blocks_are_skipped_more_often():
    model = on_meta('b0', drop_path_rate=0.32)
    rates = [
        model.get_submodule(name).drop_path.p if identity else None
        for name in model.block_names()
        for identity in [model.get_submodule(name).identity]
    ]
    expected = [None if i in (0, 1, 3, 5, 8, 11, 15) else 0.02 * i for i in range(16)]
    assert rates == pytest.approx(expected)
    none = on_meta('b0', drop_path_rate=0.0)
    assert not any(isinstance(m, StochasticDepth) for m in none.modules())


def test_skipped_blocks_hand_on_their_input_and_the_rest_is_scaled_up():
    block = EfficientNet('b0', drop_path_rate=0.5).stages[0][1].train()
    block.drop_path.p = 0.5
    block.project.norm.weight.data.fill_(1.0)
    x = torch.rand(64, 24, 8, 8)
    torch.manual_seed(0)
    change = (block(x) - x).flatten(1).norm(dim=1)
    assert 16 < (change == 0).sum() < 48
    block.drop_path.p = 0.0
    whole = (block(x) - x).flatten(1).norm(dim=1)
    assert_close(change[change > 0], 2 * whole[change > 0], rtol=1e-3, atol=1e-3)


# --- forms -------------------------------------------------------------------------


def test_tf_form_pads_strided_convolutions_as_tensorflow_does():
    model = EfficientNet('b0', form='tf', num_classes=3)
    same = [m for m in model.modules() if isinstance(m, Conv2dAdaptivePadding)]
    strided = [
        m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)
    ]
    assert same == strided
    assert len(same) == 5
    # A kernel of 3 at stride 2 on an even side: one row is added, at the bottom.
    conv = model.stem[0].conv
    nn.init.ones_(conv.weight)
    sums = conv(torch.ones(1, 3, 4, 4))[0, 0]
    assert sums.tolist() == [[27, 18], [18, 12]]


@pytest.mark.parametrize('kind', ['BN', 'SyncBN'])
def test_norms_have_the_forms_settings_unless_they_are_given(kind):
    def settings(form, **norm_cfg):
        model = on_meta('b0', form=form, norm_cfg=dict(type=kind, **norm_cfg))
        return {(norm.eps, norm.momentum) for norm in norms(model)}

    assert settings('tf') == {(1e-3, 0.01)}
    assert settings('torch') == {(1e-5, 0.1)}
    assert settings('tf', eps=1e-4) == {(1e-4, 0.01)}


def test_other_norms_keep_their_own_settings():
    model = on_meta('b0', form='tf', norm_cfg=dict(type='GN', num_groups=8))
    assert {norm.eps for norm in norms(model)} == {1e-5}


def test_wrong_forms_say_what_there_is():
    with pytest.raises(ValueError, match="form='caffe': expected one of torch, tf"):
        on_meta('b0', form='caffe')
    with pytest.raises(ValueError, match=r"form='tf' pads by .* leave conv_cfg out"):
        on_meta('b0', form='tf', conv_cfg=dict(type='Conv2d'))


# --- other libraries ---------------------------------------------------------------


@pytest.mark.parametrize(
    ('form', 'name'), [('torch', 'efficientnet_b0'), ('tf', 'tf_efficientnet_b0')]
)
def test_maps_are_those_that_timm_gives_detectors(form, name, tmp_path):
    theirs = reference('timm', name, features_only=True, out_indices=(1, 2, 3, 4))
    ours = loaded(theirs, tmp_path / 'timm.pth', 'b0', form=form)
    for size in ((64, 96), (75, 117)):
        x = image(*size, dtype=torch.float64)
        with torch.no_grad():
            expected = tuple(theirs.double().eval()(x))
            assert_close(ours.double().eval()(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('arch', ['b0', 'b1'])
def test_tf_form_equals_the_pytorch_conversion_of_the_authors_code(arch, tmp_path):
    """efficientnet_pytorch writes swish and means otherwise than timm and we."""
    name = f'efficientnet-{arch}'
    theirs = reference('efficientnet_pytorch', name, image_size=None).double()
    path = tmp_path / 'official.pth'
    ours = loaded(theirs, path, arch, form='tf', num_classes=1000).double()
    for training in (False, True):
        for size in ((64, 96), (75, 117)):
            x = image(*size, dtype=torch.float64)
            with torch.no_grad():
                expected = theirs.train(training)(x)
                difference = (ours.train(training)(x) - expected).abs().max()
            assert difference <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize('form', ['torch', 'tf'])
def test_gradients_equal_timms(form, tmp_path):
    name = 'efficientnet_b0' if form == 'torch' else 'tf_efficientnet_b0'
    theirs = reference('timm', name, num_classes=7).double().eval()
    path = tmp_path / 'timm.pth'
    ours = loaded(theirs, path, 'b0', form=form, num_classes=7).double().eval()
    x = image(75, 117, dtype=torch.float64)
    for model in (ours, theirs):
        model(x).square().mean().backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    layout = find_layout('EfficientNet', gradients, 'gradients')
    expected = layout.convert(gradients, ours)
    for key, parameter in ours.named_parameters():
        scale = expected[key].abs().max()
        assert scale > 0
        assert_close(parameter.grad, expected[key], rtol=0, atol=1e-9 * scale)


def test_weights_of_the_other_form_are_refused(tmp_path):
    path = str(tmp_path / 'weights.pth')
    torch.save({'_conv_stem.weight': torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(UserError, match=r"weights are for form='tf'; .* form='torch'"):
        load_backbone_weights(on_meta('b0'), path)
    torch.save({'features.1.0.block.0.0.weight': torch.zeros(32, 1, 3, 3)}, path)
    with pytest.raises(UserError, match=r"keys are those of torchvision.*form='torch'"):
        load_backbone_weights(on_meta('b0', form='tf'), path)


def test_weights_that_want_another_eps_are_refused(tmp_path):
    path = str(tmp_path / 'weights.pth')
    torch.save({'features.1.0.block.0.0.weight': torch.zeros(48, 1, 3, 3)}, path)
    wanted = r"b5 was trained with eps=0.001 .* say norm_cfg=dict\(type='BN', eps=0.001"
    with pytest.raises(UserError, match=wanted):
        load_backbone_weights(on_meta('b5'), path)
    with pytest.raises(UserError, match='only 1/'):  # the right one gets further
        load_backbone_weights(on_meta('b5', norm_cfg=OF_TF), path)
