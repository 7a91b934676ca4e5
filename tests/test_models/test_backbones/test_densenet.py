"""DenseNet: the maps that detectors take, its forms, and DSOD's backbones."""

import copy
import re

import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.testing import assert_close

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.layouts import find_layout
from mmeff.fidelity import densenet
from mmeff.fidelity.check import image, pair, randomise, relative_difference
from mmeff.models.backbones import DenseNet

ROWS = {row.name: row for row in densenet.ROWS}


def torchvision_pair() -> tuple[DenseNet, nn.Module]:
    ours, theirs = pair(ROWS['DenseNet-121'])
    return ours.double(), theirs.double()


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# --- beside torchvision and timm ---------------------------------------------------


def test_maps_are_the_transitions_before_their_pools():
    ours, theirs = torchvision_pair()
    expected = []
    for i in (1, 2, 3):
        getattr(theirs.features, f'transition{i}').conv.register_forward_hook(
            lambda module, args, out: expected.append(out)
        )
    x = image(75, 117, torch.float64)
    ours.eval().head = None
    with torch.no_grad():
        expected.append(theirs.eval().features(x).relu())
        outputs = ours(x)
    assert [tuple(o.shape[1:]) for o in outputs] == [
        (128, 19, 30),
        (256, 9, 15),
        (512, 4, 7),
        (1024, 2, 3),
    ]
    assert_close(list(outputs), expected, rtol=1e-10, atol=1e-10)


def test_gradients_equal_those_of_torchvision():
    ours, theirs = torchvision_pair()
    x = image(64, 96, torch.float64)
    for model in (ours.train(), theirs.train()):
        model(x).square().mean().backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    layout = find_layout('DenseNet', gradients, 'torchvision')
    expected = layout.convert(gradients, ours)
    for key, parameter in ours.named_parameters():
        worst = (parameter.grad - expected.pop(key)).abs().max()
        assert worst <= 1e-9 * parameter.grad.abs().max(), key
    assert not expected


@pytest.mark.parametrize('source', ['timm', 'files of torchvision'])
def test_published_files_give_the_outputs_of_their_library(source, tmp_path):
    if source == 'timm':
        timm = pytest.importorskip('timm')
        theirs = randomise(timm.create_model('densenet121')).double().eval()
        state = theirs.state_dict()
    else:
        theirs = torchvision_pair()[1].eval()
        # As the files are; torchvision renames while it loads.
        state = {
            re.sub(r'(denselayer\d+\.(norm|conv))', r'\1.', key): value
            for key, value in theirs.state_dict().items()
        }
        assert 'features.denseblock1.denselayer1.norm.1.weight' in state
    path = str(tmp_path / 'weights.pth')
    torch.save(state, path)
    ours = DenseNet('121', num_classes=1000).double().eval()
    load_backbone_weights(ours, path)
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        assert relative_difference(ours(x), theirs(x)) <= 1e-12


def test_checkpointing_keeps_no_concatenation():
    def kept_bytes(**kwargs) -> int:
        storages = {}

        def pack(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        model = DenseNet('121', **kwargs).train()
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = model(image(128, 128))
        assert len(outputs) == 4
        parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
        return sum(
            tensor.untyped_storage().nbytes()
            for pointer, tensor in storages.items()
            if pointer not in parameters
        )

    assert kept_bytes(with_cp=True) < kept_bytes() / 4


# --- counts of published detectors -------------------------------------------------


def conv(inputs: int, outputs: int, kernel_size: int) -> int:
    """Parameters of a convolution; with the norm after it, and before it:"""
    return inputs * outputs * kernel_size**2


def conv_norm(inputs: int, outputs: int, kernel_size: int) -> int:
    return conv(inputs, outputs, kernel_size) + 2 * outputs


def norm_conv(inputs: int, outputs: int, kernel_size: int) -> int:
    return 2 * inputs + conv(inputs, outputs, kernel_size)


def bottleneck(inputs: int, width: int, outputs: int) -> int:
    """ResNet's, with a projection."""
    return (
        conv_norm(inputs, outputs, 1)
        + conv_norm(inputs, width, 1)
        + conv_norm(width, width, 3)
        + conv_norm(width, outputs, 1)
    )


@pytest.mark.parametrize(
    ('arch', 'channels', 'params'),
    [
        ('201', (256, 896, 1920), 56_127_428),
        (161, (384, 1056, 2208), 66_755_204),
    ],
)
def test_refinedet_has_as_many_parameters_on_these_maps_as_published(
    arch, channels, params
):
    """VoVNet paper, Table 4: 56.13M and 66.76M with 80 classes."""
    with torch.device('meta'):
        model = DenseNet(arch, form='caffe', out_indices=(1, 2, 3))
    assert model.out_channels == channels
    sources = (*channels, 512)
    extra = bottleneck(channels[-1], 128, 512)
    connection = conv_norm(512, 256, 3) + 2 * conv_norm(256, 256, 3)
    for width in channels:
        connection += conv_norm(width, 256, 3) + conv_norm(256, 256, 2)
        connection += 2 * conv_norm(256, 256, 3)
    heads = sum(bottleneck(width, 256, 1024) for width in (*sources, *4 * (256,)))
    heads += 4 * sum(conv(1024, out, 3) + out for out in (12, 6, 12, 3 * 81))
    assert count(model) + extra + connection + heads == params


@pytest.mark.parametrize(
    ('arch', 'channels', 'params'),
    [
        ('ds-64-64-16-1', (224, 352, 256), 5_833_372),
        ('ds-64-192-48-1', (416, 800, 256), 14_715_804),
    ],
)
def test_dsod_has_as_many_parameters_on_this_backbone_as_published(
    arch, channels, params
):
    """With 20 classes of VOC."""
    with torch.device('meta'):
        model = DenseNet(arch, out_indices=(0, 1, 2))
    assert model.out_channels == channels
    first = channels[1]
    neck, width = norm_conv(first, 256, 1), 512
    for out in (256, 128, 128, 128):
        neck += norm_conv(width, out, 1) + norm_conv(out, out, 3)
        neck += norm_conv(width, out, 1)
        width = 2 * out
    heads = 0
    for width, anchors in zip(
        (first, 512, 512, 256, 256, 256), (4, 6, 6, 6, 4, 4), strict=True
    ):
        scale = width  # of the L2 norm
        heads += scale + conv_norm(width, 4 * anchors, 3)
        heads += conv_norm(width, 21 * anchors, 3)
    assert count(model) + neck + heads == params


# --- what no library has: a second implementation -----------------------------------


def norm_relu(state: dict, name: str, x: torch.Tensor) -> torch.Tensor:
    names = ('running_mean', 'running_var', 'weight', 'bias')
    return F.batch_norm(x, *(state[f'{name}.{key}'] for key in names)).relu()


def reference_maps(state: dict, x: torch.Tensor, blocks, pools) -> list[torch.Tensor]:
    """The network in eval mode: dense layers in each block, a pool for each stage."""
    i = 0
    while f'stem.{i}.conv.weight' in state:
        weight = state[f'stem.{i}.conv.weight']
        x = F.conv2d(x, weight, stride=1 if i else 2, padding=weight.shape[-1] // 2)
        x = norm_relu(state, f'stem.{i}.norm', x)
        i += 1
    maps = []
    for i, (stage, pool) in enumerate(zip(blocks, pools, strict=True)):
        x = pool(x)
        for k, num_layers in enumerate(stage, 1):
            features = [x]
            for j in range(num_layers):
                name = f'stages.{i}.block{k}.{j}.layers'
                y = norm_relu(state, f'{name}.norm1', torch.cat(features, 1))
                y = F.conv2d(y, state[f'{name}.conv1.weight'])
                y = norm_relu(state, f'{name}.norm2', y)
                features.append(F.conv2d(y, state[f'{name}.conv2.weight'], padding=1))
            name = f'stages.{i}.transition{k}'
            x = norm_relu(state, f'{name}.norm', torch.cat(features, 1))
            if f'{name}.conv.weight' in state:
                x = F.conv2d(x, state[f'{name}.conv.weight'])
        maps.append(x)
    return maps


def max_pool_2(x: torch.Tensor) -> torch.Tensor:
    """2x2/2, rounding up."""
    x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-torch.inf)
    return x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))


def max_pool_3(x: torch.Tensor) -> torch.Tensor:
    """3x3/2, unpadded, rounding up: the last window may be cut."""
    height, width = x.shape[2:]
    x = F.pad(x, (0, (width + 1) % 2, 0, (height + 1) % 2), value=-torch.inf)
    return F.max_pool2d(x, 3, 2)


def mean_pool_2(x: torch.Tensor) -> torch.Tensor:
    """2x2/2, rounding up: the last window has the mean of what there is."""
    ones = F.pad(torch.ones_like(x), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    return F.avg_pool2d(x, 2) / F.avg_pool2d(ones, 2)


@pytest.mark.parametrize('arch', ['ds-64-64-16-1', 'ds-64-192-48-1'])
def test_dsod_backbone_equals_a_second_implementation(arch):
    model = DenseNet(arch, out_indices=(0, 1, 2))
    model = randomise(model).double().eval()
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        expected = reference_maps(
            model.state_dict(), x, [(6,), (8,), (8, 8)], 3 * [max_pool_2]
        )
        assert_close(list(model(x)), expected, rtol=1e-10, atol=1e-10)


def test_caffe_form_equals_a_second_implementation():
    model = randomise(DenseNet('121', form='caffe')).double().eval()
    plain = DenseNet('121').double().eval()
    plain.load_state_dict(model.state_dict())
    x = image(75, 117, torch.float64)
    with torch.no_grad():
        outputs = model(x)
        expected = reference_maps(
            model.state_dict(),
            x,
            [(6,), (12,), (24,), (16,)],
            [max_pool_3, *3 * [mean_pool_2]],
        )
        even = image(64, 96, torch.float64)
        assert (model(even)[0] - plain(even)[0]).abs().max() > 1e-3
    assert_close(list(outputs), expected, rtol=1e-10, atol=1e-10)


def test_maps_of_300_pixels_are_those_of_dsod():
    with torch.device('meta'):
        model = DenseNet('ds-64-64-16-1', out_indices=(0, 1, 2))
        outputs = model(torch.empty(1, 3, 300, 300))
        caffe = DenseNet('121', form='caffe')(torch.empty(1, 3, 300, 300))
    assert [o.shape[2] for o in outputs] == [75, 38, 19]
    assert model.out_strides == (4, 8, 16)
    assert [o.shape[2] for o in caffe] == [75, 38, 19, 10]


def test_norms_fold_where_two_transitions_share_a_stage():
    model = DenseNet('ds-64-64-16-1', out_indices=(0, 1, 2))
    model = randomise(model).double().eval()
    fused = fuse_conv_bn(copy.deepcopy(model))
    x = image(64, 96, torch.float64)
    with torch.no_grad():
        assert_close(fused(x), model(x))
    folded = fused.stages[2].block1[0].layers
    assert isinstance(folded.norm1, nn.BatchNorm2d)  # nothing before it
    assert isinstance(folded.norm2, nn.Identity)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(form='tf'), "form='tf': expected pytorch or caffe"),
        (dict(arch='ds-64-64-16-1'), 'out of 0, 1, 2 with strides'),
        (
            dict(arch='ds-64-64-16-1', out_indices=(0, 1, 2), num_classes=5),
            'num_classes=5: .* no classifier',
        ),
    ],
)
def test_wrong_variants_say_what_there_is(kwargs, message):
    with pytest.raises(ValueError, match=message), torch.device('meta'):
        DenseNet(**kwargs)
