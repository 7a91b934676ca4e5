"""MobileNetV1, https://arxiv.org/abs/1704.04861, Tables 4 and 6."""

from mmeff.fidelity.row import Reference, Row

RELU = dict(act_cfg=dict(type='ReLU'))


def _build(**kwargs) -> dict:
    return dict(type='MobileNetV1', num_classes=1000, **kwargs)


def _narrow(widen_factor: float, params: int, macs: str, published, name: str) -> Row:
    return Row(
        f'MobileNetV1 {widen_factor}',
        _build(widen_factor=widen_factor, **RELU),
        params,
        macs,
        published=published,
        reference=Reference('pytorchcv', name),
        note='with ReLU as in the reference',
    )


ROWS = (
    _narrow(0.25, 470_072, '41.0M', ('0.5M', '41M'), 'mobilenet_wd4'),
    _narrow(0.5, 1_331_592, '149.5M', ('1.3M', '149M'), 'mobilenet_wd2'),
    _narrow(0.75, 2_585_560, '325.4M', ('2.6M', '325M'), 'mobilenet_w3d4'),
    Row(
        'MobileNetV1 1.0',
        _build(),
        4_231_976,
        '568.7M',
        published=('4.2M', '569M'),
        reference=Reference('timm', 'mobilenetv1_100'),
    ),
    Row(
        'MobileNetV1 1.25',
        _build(widen_factor=1.25),
        6_270_840,
        '879.5M',
        reference=Reference('timm', 'mobilenetv1_125'),
    ),
)
