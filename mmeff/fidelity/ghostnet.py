"""GhostNet, https://arxiv.org/abs/1911.11907, section 4.2."""

from mmeff.fidelity.row import Reference, Row


def _row(widen_factor: float, params: int, macs: str, reference, **kwargs) -> Row:
    return Row(
        f'GhostNet {widen_factor}',
        dict(type='GhostNet', widen_factor=widen_factor, num_classes=1000),
        params,
        macs,
        reference=reference,
        **kwargs,
    )


ROWS = (
    _row(
        0.5,
        2_587_292,
        '42.3M',
        Reference('timm', 'ghostnet_050'),
        published=('2.6M', '42M'),
    ),
    _row(
        1.0,
        5_182_508,
        '141.2M',
        Reference('timm', 'ghostnet_100'),
        published=('5.2M', '141M'),
    ),
    _row(
        1.1,
        5_855_650,
        '167.0M',
        Reference(
            'timm',
            'ghostnet._create_ghostnet',
            dict(variant='ghostnet_100', width=1.1),
        ),
        published=(None, '164M'),
        note="the paper's COCO backbone: 164.4M without the head's two layers",
    ),
    _row(
        1.3,
        7_358_820,
        '227.0M',
        Reference('timm', 'ghostnet_130'),
        published=('7.3M', '226M'),
        note='timm has the same 7.36M and 227.0M, a little above what the paper prints',
    ),
)
