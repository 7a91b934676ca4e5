"""Pairs are fused where one follows the other in the run, and nowhere else."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.deploy.fusion import fuse_conv_bn
from mmeff.errors import UserError
from mmeff.profiling.detector import DetectorRegions
from mmeff.profiling.inputs import make_batch

SMALL_RETINANET = Path(__file__).parents[1] / 'test_profiling' / 'small_retinanet.py'


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    return norm


def _fuse(model: nn.Module) -> tuple[tuple[int, int], float]:
    """What was fused and left, and the largest difference of outputs."""
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    model.eval()
    with torch.no_grad():
        before = model(x).clone()
        counts = fuse_conv_bn(model, lambda: model(x))
        return counts, float((model(x) - before).abs().max())


def _sequential() -> nn.Module:
    layers = [nn.Conv2d(4, 6, 3, bias=False), _norm(6), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.Conv2d(6, 4, 1, groups=2), _norm(4))


class DefinedBackwards(nn.Module):
    """The order of attributes is not the order of the run."""

    def __init__(self) -> None:
        super().__init__()
        self.norm2, self.norm1 = _norm(4), _norm(4)
        self.conv2, self.conv1 = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3)

    def forward(self, x):
        return self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))


class Shared(nn.Module):
    """One convolution, a norm for each level, as in heads for several levels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norms = nn.Conv2d(4, 4, 1), nn.ModuleList([_norm(4), _norm(4)])

    def forward(self, x):
        return sum(norm(self.conv(x)) for norm in self.norms)


class Overwritten(nn.Module):
    """The norm's input is the convolution's output, changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 1), _norm(4)

    def forward(self, x):
        return self.norm(self.conv(x).relu_())


class UsedTwice(Overwritten):
    def forward(self, x):
        x = self.conv(x)
        return x + self.norm(x)


@pytest.mark.parametrize('make', [_sequential, DefinedBackwards])
def test_pairs_become_one_convolution_that_computes_the_same(make):
    model = make()
    counts, difference = _fuse(model)
    assert counts == (2, 0)
    assert difference < 1e-5
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())


@pytest.mark.parametrize(('make', 'left'), [(Shared, 2), (Overwritten, 1)])
def test_what_is_no_pair_stays(make, left):
    counts, difference = _fuse(make())
    assert counts == (0, left)
    assert difference == 0


def test_pre_activation_keeps_its_first_norm():
    layers = [_norm(4), nn.ReLU(), nn.Conv2d(4, 8, 1), _norm(8), nn.ReLU()]
    counts, difference = _fuse(nn.Sequential(*layers, nn.Conv2d(8, 4, 3)))
    assert counts == (1, 1)
    assert difference < 1e-5


def test_network_that_computes_something_else_is_refused():
    with pytest.raises(ValueError, match='outputs differ'):
        _fuse(UsedTwice())


@pytest.fixture
def regions() -> DetectorRegions:
    """A small detector whose norms have statistics, as if trained."""
    cfg = load_config(SMALL_RETINANET)
    model = build_detector(cfg, device='cpu')
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return DetectorRegions(model, make_batch(cfg, (64, 64)))


def test_detector_loses_its_norms_and_keeps_its_outputs(regions):
    before = [tensor.clone() for tensor in tree_leaves(regions.forward())]
    fused, left = regions.fuse_conv_bn()
    assert fused > 10
    assert left == 0
    for old, new in zip(before, tree_leaves(regions.forward()), strict=True):
        assert torch.allclose(old, new, rtol=1e-4, atol=1e-4 * float(old.abs().max()))


def test_detector_that_cannot_be_fused_is_a_message(regions, monkeypatch):
    monkeypatch.setattr('mmeff.deploy.fusion.TOLERANCE', -1)
    with pytest.raises(UserError, match='--fuse-conv-bn: outputs differ'):
        regions.fuse_conv_bn()
