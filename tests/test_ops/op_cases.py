"""One small differentiable call of each served op, shared by the tests of this folder.

A case makes its tensors in float64 on the CPU; a test moves and casts them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from mmcv import ops
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor


def random_boxes(num, size, generator):
    """(num, 4) boxes that overlap a lot, and (num,) scores without ties."""
    corner = torch.rand(num, 2, generator=generator) * size
    extent = (0.1 + torch.rand(num, 2, generator=generator)) * size / 2
    scores = torch.randperm(num, generator=generator) / max(num, 1)
    return torch.cat((corner, corner + extent), dim=1), scores


def random_rois(num, num_images, size, generator):
    """(num, 5) RoIs in float64, some of them reaching outside the image."""
    boxes, _ = random_boxes(num, size, generator)
    image = torch.randint(num_images, (num, 1), generator=generator)
    return torch.cat((image, boxes - 0.1 * size), dim=1).double()


@dataclass(frozen=True)
class OpCase:
    """How to call an op: tensors by name, those with a gradient, and the call."""

    name: str
    make: Callable[[torch.Generator], dict[str, Tensor]]
    call: Callable[[dict[str, Tensor]], Tensor]
    leaves: tuple[str, ...]

    def tensors(self, dtype=torch.float64, device='cpu'):
        made = self.make(torch.Generator().manual_seed(0))
        return {
            name: tensor.to(device, dtype if tensor.is_floating_point() else None)
            for name, tensor in made.items()
        }

    def run(self, tensors):
        """Output and the gradients of the leaves for fixed output gradients."""
        leaves = [tensors[name].detach().requires_grad_() for name in self.leaves]
        output = self.call({**tensors, **dict(zip(self.leaves, leaves, strict=True))})
        weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
        grads = torch.autograd.grad(output, leaves, weights.to(output))
        return [output.detach(), *grads]


def _randn(*shape, generator):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _pooling(generator):
    return {
        'input': _randn(2, 3, 9, 11, generator=generator),
        'rois': random_rois(7, 2, 32, generator),
    }


def _deform(generator):
    return {
        'input': _randn(2, 4, 6, 7, generator=generator),
        'offset': _randn(2, 2 * 2 * 9, 3, 4, generator=generator),
        'mask': _randn(2, 2 * 9, 3, 4, generator=generator).sigmoid(),
        'weight': _randn(6, 2, 3, 3, generator=generator),
        'bias': _randn(6, generator=generator),
    }


def _logits(generator):
    return {
        'input': 3 * _randn(20, 4, generator=generator),
        'target': torch.randint(5, (20,), generator=generator),
        'weight': torch.rand(4, generator=generator, dtype=torch.float64) + 0.5,
    }


def _carafe(generator):
    return {
        'features': _randn(2, 4, 3, 4, generator=generator),
        'masks': _randn(2, 2 * 9, 6, 8, generator=generator).sigmoid(),
    }


def _attention(generator):
    shapes = torch.tensor([[4, 5], [2, 3]])
    return {
        'value': _randn(2, 26, 2, 3, generator=generator),
        'shapes': shapes,
        'starts': torch.tensor([0, 20]),
        'locations': torch.rand(2, 5, 2, 2, 3, 2, generator=generator).double(),
        'weights': _randn(2, 5, 2, 2, 3, generator=generator).sigmoid(),
    }


CASES = [
    OpCase(
        'roi_align',
        _pooling,
        lambda t: ops.roi_align(t['input'], t['rois'], (3, 2), 0.25, 2, 'avg', True),
        ('input',),
    ),
    OpCase(
        'roi_pool',
        _pooling,
        lambda t: ops.roi_pool(t['input'], t['rois'], (3, 2), 0.25),
        ('input',),
    ),
    OpCase(
        'deform_conv',
        _deform,
        lambda t: ops.deform_conv2d(
            t['input'], t['offset'], t['weight'], 2, 1, 1, 2, 2
        ),
        ('input', 'offset', 'weight'),
    ),
    OpCase(
        'modulated_deform_conv',
        _deform,
        lambda t: ops.modulated_deform_conv2d(
            t['input'], t['offset'], t['mask'], t['weight'], t['bias'], 2, 1, 1, 2, 2
        ),
        ('input', 'offset', 'mask', 'weight', 'bias'),
    ),
    OpCase(
        'sigmoid_focal_loss',
        _logits,
        lambda t: ops.sigmoid_focal_loss(
            t['input'], t['target'], 2.0, 0.25, t['weight'], 'none'
        ),
        ('input',),
    ),
    OpCase(
        'softmax_focal_loss',
        _logits,
        lambda t: ops.softmax_focal_loss(
            t['input'], t['target'].clamp(max=3), 2.0, 0.25, t['weight'], 'sum'
        ),
        ('input',),
    ),
    OpCase(
        'carafe',
        _carafe,
        lambda t: ops.carafe(t['features'], t['masks'], 3, 2, 2),
        ('features', 'masks'),
    ),
    OpCase(
        'ms_deform_attn',
        _attention,
        lambda t: MultiScaleDeformableAttnFunction.apply(
            t['value'], t['shapes'], t['starts'], t['locations'], t['weights'], 64
        ),
        ('value', 'locations', 'weights'),
    ),
]
