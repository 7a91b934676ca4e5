"""ResNets and VGG of Ghost modules: against torchvision, and a second implementation."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from mmeff.checkpoints.layouts import find_layout
from mmeff.errors import UserError
from mmeff.fidelity import ghost_resnet
from mmeff.fidelity.check import image, pair, randomise
from mmeff.models import GhostModule, GhostResNet, GhostResNet56, GhostVGG16

# --- a second implementation --------------------------------------------------------


class Functions:
    """The networks in functions, from the tensors of ours and the papers' tables."""

    def __init__(self, model: nn.Module) -> None:
        # Copies, since batch norm in training mode would move ours.
        self.state = {key: value.clone() for key, value in model.state_dict().items()}
        self.training = model.training

    def norm(self, name: str, x):
        names = ('running_mean', 'running_var', 'weight', 'bias')
        tensors = [self.state[f'{name}.{kind}'] for kind in names]
        return F.batch_norm(x, *tensors, training=self.training)

    def conv(self, name: str, x, stride: int = 1):
        weight = self.state[f'{name}.conv.weight']
        groups = x.shape[1] // weight.shape[1]
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
        return self.norm(f'{name}.norm', x)

    def ghost(self, name: str, x, channels: int, stride: int = 1, relu: bool = True):
        """A Ghost module; without ghosts where the model has a plain convolution."""
        act = F.relu if relu else lambda x: x
        if f'{name}.conv.weight' in self.state:
            return act(self.conv(name, x, stride))
        x = act(self.conv(f'{name}.primary', x, stride))
        y = act(self.conv(f'{name}.cheap', x))
        return torch.cat((x, y), 1)[:, :channels]

    def linear(self, name: str, x):
        return x @ self.state[f'{name}.weight'].T + self.state[f'{name}.bias']

    def bottlenecks(self, x, depths, widths) -> list[torch.Tensor]:
        """Maps of the four stages, and logits."""
        x = F.max_pool2d(F.relu(self.conv('stem.0', x, 2)), 3, 2, 1)
        outputs = []
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for j in range(depth):
                name, stride = f'stages.{i}.{j}', 2 if i and not j else 1
                y = self.ghost(f'{name}.conv1', x, width)
                y = self.ghost(f'{name}.conv2', y, width, stride)
                y = self.ghost(f'{name}.conv3', y, 4 * width, relu=False)
                if j == 0:
                    shortcut = f'{name}.downsample'
                    x = self.ghost(shortcut, x, 4 * width, stride, relu=False)
                x = F.relu(y + x)
            outputs.append(x)
        return [*outputs, self.linear('head.fc', x.mean((2, 3)))]

    def resnet56(self, x):
        x = F.relu(self.conv('stem', x))
        for i, width in enumerate((16, 32, 64)):
            for j in range(9):
                name, stride = f'stages.{i}.{j}', 2 if i and not j else 1
                y = self.ghost(f'{name}.conv1', x, width, stride)
                y = self.ghost(f'{name}.conv2', y, width, relu=False)
                if stride == 2:
                    zeros = torch.zeros_like(y)
                    zeros[:, width // 4 : -width // 4] = x[:, :, ::2, ::2]
                    x = zeros
                x = F.relu(y + x)
        return self.linear('head.fc', x.mean((2, 3)))

    def vgg16(self, x):
        stages = (64, 64, 0, 128, 128, 0, *(256,) * 3, 0, *(512, 512, 512, 0) * 2)
        for i, width in enumerate(stages):  # 0: pooling
            x = self.ghost(f'features.{i}', x, width) if width else F.max_pool2d(x, 2)
        x = self.norm('head.norm', self.linear('head.hidden', x[:, :, 0, 0]))
        return self.linear('head.fc', F.relu(x))


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize(
    ('arguments', 'depths', 'widths'),
    [
        (dict(ratio=2), (3, 4, 6, 3), (64, 128, 256, 512)),
        (dict(ratio=4, widen_factor=0.5), (3, 4, 6, 3), (32, 64, 128, 256)),
        (
            dict(ratio=3, cheap_kernel_size=5, widen_factor=0.25, depth_factor=1.4),
            (5, 6, 9, 5),
            (16, 32, 64, 128),
        ),
        (dict(ratio=1, widen_factor=2.0), (3, 4, 6, 3), (128, 256, 512, 1024)),
    ],
    ids=['s2', 's4', 's3 d1.4', 'w2'],
)
def test_maps_and_logits_equal_a_second_implementation(
    arguments, depths, widths, training
):
    model = randomise(GhostResNet(num_classes=10, **arguments)).double()
    functions = Functions(model.train(training))
    assert len(model.state_dict()['stem.0.conv.weight']) == widths[0]
    maps = []
    for stage in model.stages:
        stage.register_forward_hook(lambda module, args, output: maps.append(output))
    x = image(48, 75, torch.float64)
    with torch.no_grad():
        logits = model(x)
        expected = functions.bottlenecks(x, depths, widths)
    assert_close([*maps, logits], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize(('ratio', 'cheap_kernel_size'), [(1, 3), (2, 1), (3, 5)])
@pytest.mark.parametrize('network', [GhostVGG16, GhostResNet56])
def test_cifar_networks_equal_a_second_implementation(
    network, ratio, cheap_kernel_size, training
):
    model = randomise(network(ratio, cheap_kernel_size)).double().train(training)
    functions = Functions(model)
    run = functions.vgg16 if network is GhostVGG16 else functions.resnet56
    x = image(32, 32, torch.float64)
    with torch.no_grad():
        logits = model(x)
        assert logits.shape == (2, 10)
        assert_close(logits, run(x), rtol=1e-9, atol=1e-9)


# --- ResNet -------------------------------------------------------------------------


def test_without_ghosts_maps_and_gradients_equal_those_of_torchvision():
    ours, theirs = (model.double().train() for model in pair(ghost_resnet.ROWS[0]))
    maps, expected = [], []
    for i in range(4):
        stages = (ours.stages[i], maps), (getattr(theirs, f'layer{i + 1}'), expected)
        for stage, found in stages:
            stage.register_forward_hook(
                lambda module, args, output, found=found: found.append(output)
            )
    x = image(64, 96, torch.float64)
    for model in (ours, theirs):
        model(x).square().mean().backward()
    assert_close(maps, expected, rtol=1e-10, atol=1e-10)
    assert [m.shape[1:] for m in maps] == [
        (256, 16, 24),
        (512, 8, 12),
        (1024, 4, 6),
        (2048, 2, 3),
    ]
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    layout = find_layout('GhostResNet', gradients, 'torchvision')
    converted = layout.convert(gradients, ours)
    for key, parameter in ours.named_parameters():
        worst = (parameter.grad - converted.pop(key)).abs().max()
        assert worst <= 1e-10 * max(1, parameter.grad.abs().max()), key
    assert not converted


@pytest.mark.parametrize('arch', ['101', 152])
def test_deeper_networks_have_the_keys_of_torchvision(arch):
    models = pytest.importorskip('torchvision.models')
    with torch.device('meta'):
        ours = GhostResNet(arch, ratio=1, num_classes=1000)
        state = models.get_model(f'resnet{arch}', weights=None).state_dict()
    converted = find_layout('GhostResNet', state, 'file').convert(state, ours)
    assert {key: value.shape for key, value in converted.items()} == {
        key: value.shape for key, value in ours.state_dict().items()
    }


def test_every_convolution_but_the_first_is_a_ghost_module():
    with torch.device('meta'):
        model = GhostResNet(ratio=4)
    ghosts = [m for m in model.modules() if isinstance(m, GhostModule)]
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(ghosts) == 3 * 16 + 4  # and one for the shortcut of each stage
    assert len(convs) == len(norms) == 2 * len(ghosts) + 1
    assert all(conv.bias is None for conv in convs)


def test_weights_of_the_authors_file_are_refused():
    state = {'conv1.weight': None, 'layer1.0.conv1.conv1.weight': None}
    with pytest.raises(UserError, match='torchvision and timm'):
        find_layout('GhostResNet', state, 'ghost_resnet50.pth')


def test_networks_with_ghosts_name_what_resnet_weights_lack(tmp_path):
    model = GhostResNet(ratio=2, widen_factor=0.25)
    models = pytest.importorskip('torchvision.models')
    torch.save(models.get_model('resnet50', weights=None).state_dict(), tmp_path / 'r')
    model.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'r'))
    with pytest.raises(UserError, match=r'missing: stages\.0\.0\.conv1\.primary'):
        model.init_weights()
