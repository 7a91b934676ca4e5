"""DenseNet, https://arxiv.org/abs/1608.06993, and the backbones of DSOD,
https://arxiv.org/abs/1708.01241.

The paper prints no counts of its ImageNet networks.
"""

from mmeff.fidelity.row import Reference, Row


def _torchvision(arch: str, params: int, macs: str) -> Row:
    return Row(
        f'DenseNet-{arch}',
        dict(type='DenseNet', arch=arch, num_classes=1000),
        params,
        macs,
        reference=Reference('torchvision', f'densenet{arch}'),
    )


def _dsod(name: str, arch: str, params: int, macs: str, detector: str) -> Row:
    return Row(
        name,
        dict(type='DenseNet', arch=arch, out_indices=(0, 1, 2)),
        params,
        macs,
        size=300,
        note=f'to the last transition; the detector has {detector} parameters',
    )


ROWS = (
    _torchvision('121', 7_978_856, '2.834G'),
    _torchvision('161', 28_681_000, '7.728G'),
    _torchvision('169', 14_149_480, '3.360G'),
    _torchvision('201', 20_013_928, '4.291G'),
    _dsod(
        'DenseNet-67, DS/64-64-16-1', 'ds-64-64-16-1', 1_669_408, '4.343G', '5,833,372'
    ),
    _dsod('DS/64-192-48-1', 'ds-64-192-48-1', 10_032_608, '13.501G', '14,715,804'),
)
