"""Build the network of a row, count it, and compare it with the reference."""

import copy
import os
import tempfile
from dataclasses import dataclass
from decimal import Decimal

import torch
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.fidelity.row import Row
from mmeff.profiling.counts import count_operations, count_params
from mmeff.registry import MODELS

UNITS = {'K': 10**3, 'M': 10**6, 'G': 10**9, 'B': 10**9}
# Height and width; the second is odd, and shows every rounding of sizes.
SIZES = ((64, 96), (75, 117))


@dataclass(frozen=True)
class Result:
    """What was measured of a row.

    Attributes:
        params, macs: Counts of our network.
        difference: Largest one of the logits in eval and training mode at two sizes,
            over the largest logit of the reference, by dtype. None without reference.
    """

    row: Row
    params: int
    macs: int
    difference: dict[torch.dtype, float] | None

    @property
    def counts_agree(self) -> bool:
        return self.params == self.row.params and agrees(self.macs, self.row.macs)


def agrees(count: int, printed: str) -> bool:
    """Whether a count rounds to a number as it was printed, such as '141.2M'."""
    value, unit = Decimal(printed[:-1]), UNITS[printed[-1]]
    return (Decimal(count) / unit).quantize(value) == value


def count(row: Row) -> tuple[int, int]:
    """Parameters, and multiply-accumulates of one image; no memory is allocated."""
    with torch.device('meta'):
        model = build(row).eval()
        image = torch.empty(1, 3, row.size, row.size)
    return count_params(model).total, count_operations(lambda: model(image)).macs


def check(row: Row, dtypes=(torch.float32, torch.float64)) -> Result:
    """Count a row's network and compare it with its reference."""
    params, macs = count(row)
    difference = None
    if row.reference is not None:
        ours, theirs = pair(row)
        difference = {dtype: compare(ours, theirs, dtype) for dtype in dtypes}
    return Result(row, params, macs, difference)


def build(row: Row) -> nn.Module:
    init_default_scope('mmeff')
    return MODELS.build(row.build)


def pair(row: Row) -> tuple[nn.Module, nn.Module]:
    """Our network and the reference with the same random weights.

    The weights go through a file and the loader that users' weights go through.
    """
    ours = without_chance(build(row))
    theirs = without_chance(randomise(row.reference.build()))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f'{row.reference.name}.pth')
        torch.save(theirs.state_dict(), path)
        load_backbone_weights(ours, path)
    return ours, theirs


def compare(ours: nn.Module, theirs: nn.Module, dtype: torch.dtype) -> float:
    """Largest relative difference of the logits over modes and sizes.

    Of copies: training moves the statistics of norms, and libraries differ in how far.
    """
    ours, theirs = (copy.deepcopy(model).to(dtype) for model in (ours, theirs))
    worst = 0.0
    for training in (False, True):
        ours.train(training)
        theirs.train(training)
        for size in SIZES:
            with torch.no_grad():
                x = image(*size, dtype=dtype)
                difference = relative_difference(ours(x), theirs(x))
                # not max(): it takes 0 over a difference that is no number
                worst = difference if not difference <= worst else worst
    return worst


def relative_difference(a: Tensor, b: Tensor) -> float:
    """Largest difference over the largest absolute value of `b`."""
    return ((a - b).abs().max() / b.abs().max()).item()


def image(height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Two fixed random images."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, height, width, generator=generator).to(dtype)


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give norms and biases values that a wrong wiring cannot hide behind."""
    g = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.5, 0.5, generator=g)
            module.running_var.uniform_(0.5, 2.0, generator=g)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=g)
            nn.init.uniform_(module.bias, -0.5, 0.5, generator=g)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, generator=g)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -1, 1, generator=g)
    return model


def without_chance(model: nn.Module) -> nn.Module:
    """Switch dropout and stochastic depth off, in all libraries' spellings."""
    for module in model.modules():
        for name in ('p', 'drop_prob', 'drop_rate', '_drop_connect_rate'):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    if hasattr(model, '_global_params'):  # efficientnet_pytorch
        model._global_params = model._global_params._replace(drop_connect_rate=0.0)
    return model
