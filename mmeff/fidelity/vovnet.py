"""VoVNet, https://arxiv.org/abs/1904.09730, and v2, https://arxiv.org/abs/1911.06667.

The papers print no counts of the classifiers but for the light ones of v2 (README of
the authors); the rest was counted on the authors' code.
"""

from mmeff.fidelity.row import Reference, Row

NO_LIBRARY = (
    'eSE in every module as in the code of the authors; no library has it. The tests '
    'compare v2-39 with a second implementation'
)
TRUNCATED = 'the published number is truncated, not rounded'


def _row(
    arch: str,
    form: str,
    params: int,
    macs: str,
    reference: Reference | None,
    published: str | None = None,
    note: str = '',
) -> Row:
    return Row(
        f'VoVNet {arch}, {form}',
        dict(type='VoVNet', arch=arch, form=form, num_classes=1000),
        params,
        macs,
        published=(published, None),
        reference=reference,
        note=note,
    )


def _timm(name: str) -> Reference:
    return Reference('timm', name)


def _pytorchcv(name: str) -> Reference:
    return Reference('pytorchcv', name)


ROWS = (
    _row('27-slim', 'pytorch', 3_525_736, '2.1767G', _pytorchcv('vovnet27s')),
    _row('39', 'pytorch', 22_600_296, '7.0722G', _pytorchcv('vovnet39')),
    _row('57', 'pytorch', 36_640_296, '8.9301G', _pytorchcv('vovnet57')),
    _row('39', 'timm', 22_600_296, '7.0722G', _timm('vovnet39a')),
    _row('57', 'timm', 36_640_296, '8.9301G', _timm('vovnet57a')),
    *[
        _row(
            arch,
            'caffe',
            params,
            macs,
            None,
            note='form of Tables 2 to 4; no library has it. The tests compare 27-slim '
            'and 39 with a second implementation',
        )
        for arch, params, macs in (
            ('27-slim', 3_525_736, '2.8703G'),
            ('39', 22_600_296, '7.7659G'),
            ('57', 36_640_296, '9.6238G'),
        )
    ],
    _row(
        'v2-19-slim-dw',
        'pytorch',
        1_897_752,
        '0.3981G',
        _timm('ese_vovnet19b_slim_dw'),
        '1.8M',
        TRUNCATED,
    ),
    _row(
        'v2-19-slim',
        'pytorch',
        3_166_136,
        '1.6802G',
        _timm('ese_vovnet19b_slim'),
        '3.1M',
        TRUNCATED,
    ),
    _row(
        'v2-19-dw', 'pytorch', 6_543_080, '1.3335G', _timm('ese_vovnet19b_dw'), '6.5M'
    ),
    _row(
        'v2-19',
        'pytorch',
        11_205_416,
        '4.1219G',
        None,
        '11.2M',
        'timm has the network without a name for it. Compared with it in the tests',
    ),
    _row('v2-39', 'pytorch', 26_209_128, '7.0758G', None, note=NO_LIBRARY),
    _row('v2-57', 'pytorch', 42_479_912, '8.9360G', None, note=NO_LIBRARY),
    _row('v2-99', 'pytorch', 70_548_520, '16.4956G', None, note=NO_LIBRARY),
    _row('v2-39', 'timm', 24_568_936, '7.0742G', _timm('ese_vovnet39b')),
    _row('v2-57', 'timm', 38_608_936, '8.9321G', _timm('ese_vovnet57b')),
    _row('v2-99', 'timm', 63_199_272, '16.4882G', _timm('ese_vovnet99b')),
)
