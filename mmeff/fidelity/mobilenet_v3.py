"""MobileNetV3, https://arxiv.org/abs/1905.02244, Table 3."""

from mmeff.fidelity.row import Reference, Row


def _torchvision(arch: str, params: int, macs: str, published) -> Row:
    return Row(
        f'MobileNetV3-{arch.capitalize()}',
        dict(type='MobileNetV3', arch=arch, num_classes=1000),
        params,
        macs,
        published=published,
        reference=Reference('torchvision', f'mobilenet_v3_{arch}'),
    )


def _timm(arch: str, widen_factor: float, params: int, macs: str, published) -> Row:
    return Row(
        f'MobileNetV3-{arch.capitalize()} {widen_factor}',
        dict(
            type='MobileNetV3',
            arch=arch,
            widen_factor=widen_factor,
            norm_cfg=dict(type='BN'),
            num_classes=1000,
        ),
        params,
        macs,
        published=published,
        reference=Reference('timm', f'mobilenetv3_{arch}_{100 * widen_factor:03.0f}'),
        note="eps of the norms as in timm's",
    )


ROWS = (
    _torchvision('large', 5_483_032, '216.6M', ('5.4M', '219M')),
    _timm('large', 0.75, 3_993_528, '154.6M', ('4.0M', '155M')),
    _torchvision('small', 2_542_856, '56.5M', ('2.5M', '56M')),
    _timm('small', 0.75, 2_041_872, '43.4M', ('2.0M', '44M')),
    _timm('small', 0.5, 1_593_224, '24.2M', (None, None)),
)
