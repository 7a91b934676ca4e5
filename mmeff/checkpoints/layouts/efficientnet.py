"""EfficientNet and Lite as torchvision, timm and the conversions of TensorFlow's.

What the keys tell of the form in which weights were trained is compared with the
model's: the other form loads as well, and computes something else.
"""

from collections.abc import Mapping

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmeff.checkpoints.layouts import mobilenet_v2
from mmeff.checkpoints.layouts.rules import Layout, State, rename, rename_blocks
from mmeff.errors import UserError

# efficientnet_pytorch and efficientnet_lite_pytorch.
OFFICIAL = (
    (r'^_conv_stem\.', 'stem.0.conv.'),
    (r'^_bn0\.', 'stem.0.norm.'),
    (r'^_conv_head\.', 'stages.4.conv.'),
    (r'^_bn1\.', 'stages.4.norm.'),
    (r'^_fc\.', 'head.fc.'),
    (r'\._expand_conv\.', '.expand.conv.'),
    (r'\._bn0\.', '.expand.norm.'),
    (r'\._depthwise_conv\.', '.filter.conv.'),
    (r'\._bn1\.', '.filter.norm.'),
    (r'\._se_', '.excite.'),
    (r'\._project_conv\.', '.project.conv.'),
    (r'\._bn2\.', '.project.norm.'),
)
TIMM = (*mobilenet_v2.TIMM, (r'\.se\.conv_', '.excite.'))
# The parts of a block are numbered, and one without expansion counts from 0 as well.
TORCHVISION = (
    (r'^features\.0\.', 'stem.0.'),
    (r'^features\.8\.', 'stages.4.'),
    (r'^(stem\.\d+)\.block\.2\.', r'\1.block.3.'),
    (r'^(stem\.\d+)\.block\.1\.', r'\1.block.2.'),
    (r'^(stem\.\d+)\.block\.0\.', r'\1.block.1.'),
    (r'\.block\.0\.', '.expand.'),
    (r'\.block\.1\.', '.filter.'),
    (r'\.block\.2\.fc1\.', '.excite.reduce.'),
    (r'\.block\.2\.fc2\.', '.excite.expand.'),
    (r'\.block\.3\.', '.project.'),
    (r'(^stem\.0|^stages\.4|\.expand|\.filter|\.project)\.0\.', r'\1.conv.'),
    (r'(^stem\.0|^stages\.4|\.expand|\.filter|\.project)\.1\.', r'\1.norm.'),
    (r'^classifier\.1\.', 'head.fc.'),
)
TORCHVISION_EPS = {'b5': 1e-3, 'b6': 1e-3, 'b7': 1e-3}


def _from_official(state: Mapping, model: nn.Module) -> State:
    _check(model, 'efficientnet_pytorch', 'tf', 1e-3)
    return rename(rename_blocks(state, r'_blocks\.(\d+)', model), OFFICIAL)


def _from_timm(state: Mapping, model: nn.Module) -> State:
    return rename(rename_blocks(state, r'blocks\.(\d+)\.(\d+)', model), TIMM)


def _from_torchvision(state: Mapping, model: nn.Module) -> State:
    _check(model, 'torchvision', 'torch', TORCHVISION_EPS.get(model.arch, 1e-5))
    state = rename_blocks(state, r'features\.(\d+)\.(\d+)(?=\.block\.)', model)
    return rename(state, TORCHVISION)


def _check(model: nn.Module, source: str, form: str, eps: float) -> None:
    if model.form != form:
        raise UserError(
            f'the keys are those of {source}, whose weights are for form={form!r}; the '
            f'backbone has form={model.form!r}, which pads otherwise: say form={form!r}'
        )
    norm = model.stem[0].norm
    if isinstance(norm, _BatchNorm) and norm.eps != eps:
        raise UserError(
            f'the keys are those of {source}, whose {model.arch} was trained with '
            f'eps={eps:g} in its norms; the backbone has {norm.eps:g}: say '
            f"norm_cfg=dict(type='BN', eps={eps:g}, momentum={0.01 if eps > 1e-4 else 0.1})"
        )


LAYOUTS = (
    Layout('official', r'^_conv_stem\.', _from_official),
    Layout('timm', r'^conv_stem\.', _from_timm),
    Layout('torchvision', r'^features\.\d+\.\d+\.block\.', _from_torchvision),
)
