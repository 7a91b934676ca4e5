"""VoVNet as its authors, timm and pytorchcv publish it."""

import re
from collections.abc import Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename
from mmeff.errors import UserError

# A key of the authors, with '/' inside of module names:
# stage4.OSA4_2.layers.0.OSA4_2_0/conv.weight
OFFICIAL = (
    (r'^backbone\.bottom_up\.', ''),  # detectron2's detectors
    (r'^stem\.stem_(\d)/', lambda m: f'stem.{int(m[1]) - 1}.'),
    (r'^stage(\d)\.', lambda m: f'stages.{int(m[1]) - 2}.'),
    (r'\.OSA\d_(\d+)\.', r'.osa\1.'),
    (r'\.layers\.(\d)\.OSA\d_\d+_\d/', r'.convs.\1.'),
    (r'\.concat\.OSA\d_\d+_concat/', '.aggregate.'),
    (r'\.conv_reduction\.OSA\d_\d+_reduction_0/', '.reduce.'),
    (r'\.dw_conv3x3\.', '.depthwise.conv.'),
    (r'\.pw_conv1x1\.', '.pointwise.conv.'),
    (r'\.pw_norm\.', '.pointwise.norm.'),
    (r'^classifier\.', 'head.fc.'),
)
TIMM = (
    (
        r'^stages\.(\d)\.blocks\.(\d)\.',
        lambda m: f'stages.{m[1]}.osa{int(m[2]) + 1}.',
    ),
    (r'\.conv_mid\.', '.convs.'),
    (r'\.conv_concat\.', '.aggregate.'),
    (r'\.conv_reduction\.', '.reduce.'),
    (r'\.conv_dw\.', '.depthwise.conv.'),
    (r'\.conv_pw\.', '.pointwise.conv.'),
    (r'\.bn\.', '.norm.'),
    (r'\.attn\.', '.ese.'),
)
PYTORCHCV = (
    (r'^features\.init_block\.conv(\d)\.', lambda m: f'stem.{int(m[1]) - 1}.'),
    (
        r'^features\.stage(\d)\.unit(\d)\.',
        lambda m: f'stages.{int(m[1]) - 1}.osa{m[2]}.',
    ),
    (r'\.branches\.branch(\d)\.', lambda m: f'.convs.{int(m[1]) - 1}.'),
    (r'\.concat_conv\.', '.aggregate.'),
    (r'\.bn\.', '.norm.'),
    (r'^output\.', 'head.fc.'),
)


def _from_official(state: Mapping, model: nn.Module) -> State:
    _check_form(model, 'pytorch')
    return rename(state, OFFICIAL)


def _from_pytorchcv(state: Mapping, model: nn.Module) -> State:
    _check_form(model, 'pytorch')
    return rename(state, PYTORCHCV)


def _from_timm(state: Mapping, model: nn.Module) -> State:
    _check_form(model, 'timm')
    separable = {k.rsplit('.', 2)[0] for k in state if k.endswith('conv_dw.weight')}
    # The norm of a separable convolution stands beside its halves; ours in the second.
    named = {
        re.sub(r'\.bn\.', '.pointwise.bn.', key)
        if key.rsplit('.', 2)[0] in separable
        else key: value
        for key, value in state.items()
    }
    return rename(named, TIMM)


def _check_form(model: nn.Module, form: str) -> None:
    """Other forms take the same tensors and are other functions of them."""
    # One module a stage has no identity, and the same eSE in both forms.
    if model.form != form and not model.same_in_pytorch_and_timm:
        raise UserError(
            f'these weights are of the form {form!r}, but the VoVNet has '
            f'form={model.form!r}, which is another function of the same weights: say '
            f'form={form!r} in its config'
        )


LAYOUTS = (
    Layout('official', r'stem_1/conv', _from_official),
    Layout('pytorchcv', r'^features', _from_pytorchcv),
    Layout('timm', r'^stages\.0\.blocks\.', _from_timm),
)
