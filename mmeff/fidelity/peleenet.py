"""PeleeNet, https://arxiv.org/abs/1804.06882, Table 2."""

from torch import nn

from mmeff.fidelity.row import Reference, Row


def _round_up(model: nn.Module) -> None:
    """Let pools round up, as in the authors' Caffe code; same function at 224 pixels."""
    for module in model.modules():
        if isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
            module.ceil_mode = True


ROWS = (
    Row(
        'PeleeNet',
        dict(type='PeleeNet', num_classes=1000),
        2_802_248,
        '507.8M',
        published=('2.8M', '508M'),
        reference=Reference('pytorchcv', 'peleenet', adapt=_round_up),
        note="the reference's pools were set to round up; rounding down it cannot "
        'take sizes such as 75x117',
    ),
)
