"""PeleeNet as its authors and as pytorchcv publish it."""

from collections.abc import Mapping

from torch import nn

from mmeff.checkpoints.layouts.rules import Layout, State, rename

OFFICIAL = (
    (r'^features\.stemblock\.stem1\.', 'stem.first.'),
    (r'^features\.stemblock\.stem2a\.', 'stem.branch.0.'),
    (r'^features\.stemblock\.stem2b\.', 'stem.branch.1.'),
    (r'^features\.stemblock\.stem3\.', 'stem.last.'),
    (
        r'^features\.denseblock(\d)\.denselayer(\d)\.',
        lambda m: f'stages.{int(m[1]) - 1}.layer{m[2]}.',
    ),
    (r'\.branch(\d)([abc])\.', lambda m: f'.branch{m[1]}.{"abc".index(m[2])}.'),
    (r'^features\.transition(\d)\.', lambda m: f'stages.{int(m[1]) - 1}.transition.'),
    (r'^classifier\.', 'head.fc.'),
)
# The transition of a stage is the first unit of the next one there.
PYTORCHCV = (
    (r'^features\.init_block\.first_conv\.', 'stem.first.'),
    (
        r'^features\.init_block\.branches\.branch1\.conv(\d)\.',
        lambda m: f'stem.branch.{int(m[1]) - 1}.',
    ),
    (r'^features\.init_block\.last_conv\.', 'stem.last.'),
    (
        r'^features\.stage\d\.trans(\d)\.conv\.',
        lambda m: f'stages.{int(m[1]) - 2}.transition.',
    ),
    (
        r'^features\.stage(\d)\.unit(\d)\.(branch\d)\.conv(\d)\.',
        lambda m: f'stages.{int(m[1]) - 1}.layer{m[2]}.{m[3]}.{int(m[4]) - 1}.',
    ),
    (r'^features\.final_block\.', 'stages.3.transition.'),
    (r'\.bn\.', '.norm.'),
    (r'^output\.fc\.', 'head.fc.'),
)


def _from_pytorchcv(state: Mapping, model: nn.Module) -> State:
    state = rename(state, PYTORCHCV)
    # Theirs concatenates the branches of the stem in the other order.
    key = 'stem.last.conv.weight'
    if key in state:
        state[key] = state[key].roll(state[key].shape[1] // 2, dims=1)
    return state


LAYOUTS = (
    Layout(
        'official',
        r'^features\.stemblock\.',
        lambda state, model: rename(state, OFFICIAL),
    ),
    Layout('pytorchcv', r'^features\.init_block\.', _from_pytorchcv),
)
