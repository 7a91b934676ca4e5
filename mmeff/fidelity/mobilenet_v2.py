"""MobileNetV2, https://arxiv.org/abs/1801.04381, Table 4."""

from mmeff.fidelity.row import Reference, Row


def _row(widen_factor: float, params: int, macs: str, **kwargs) -> Row:
    return Row(
        f'MobileNetV2 {widen_factor}',
        dict(type='MobileNetV2', widen_factor=widen_factor, num_classes=1000),
        params,
        macs,
        reference=Reference(
            'torchvision', 'mobilenet_v2', dict(width_mult=widen_factor)
        ),
        **kwargs,
    )


ROWS = (
    _row(0.35, 1_677_128, '59.3M'),
    _row(0.5, 1_968_680, '97.1M'),
    _row(0.75, 2_636_424, '209.1M'),
    _row(1.0, 3_504_872, '300.8M', published=('3.4M', '300M')),
    _row(
        1.4,
        6_108_776,
        '582.2M',
        published=('6.9M', '585M'),
        note="no implementation has the paper's 6.9M parameters",
    ),
)
