"""EfficientNet, https://arxiv.org/abs/1905.11946, Table 2, and EfficientNet-Lite.

The form 'torch' is counted at 224 pixels, the form 'tf' at the resolution that the
variant was made for, as in Table 2.
"""

from mmeff.fidelity.row import Reference, Row

TF_NORM = dict(type='BN', eps=1e-3, momentum=0.01)


def _rows(
    arch: str,
    params: int,
    macs: tuple[str, str],
    size: int,
    published: tuple[str, str],
) -> tuple[Row, Row]:
    eps = dict(norm_cfg=TF_NORM) if arch in ('b5', 'b6', 'b7') else {}
    name, build = f'EfficientNet-{arch.upper()}', dict(type='EfficientNet', arch=arch)
    torch = Row(
        name,
        dict(**build, num_classes=1000, **eps),
        params,
        macs[0],
        published=(published[0], published[1] if size == 224 else None),
        reference=Reference('torchvision', f'efficientnet_{arch}'),
        note="eps of the norms as in torchvision's" if eps else '',
    )
    tf = Row(
        f"{name}, form 'tf'",
        dict(**build, form='tf', num_classes=1000),
        params,
        macs[1],
        size,
        published,
        Reference('timm', f'tf_efficientnet_{arch}'),
    )
    return torch, tf


def _lite(
    arch: str, params: int, macs: str, size: int, published: tuple[str, str]
) -> Row:
    return Row(
        f"EfficientNet-{arch.capitalize()}, form 'tf'",
        dict(type='EfficientNet', arch=arch, form='tf', num_classes=1000),
        params,
        macs,
        size,
        published,
        Reference('timm', f'tf_efficientnet_{arch}'),
    )


ROWS = (
    *_rows('b0', 5_288_548, ('0.3858G', '0.3858G'), 224, ('5.3M', '0.39B')),
    *_rows('b1', 7_794_184, ('0.5697G', '0.687G'), 240, ('7.8M', '0.70B')),
    *_rows('b2', 9_109_994, ('0.6590G', '0.994G'), 260, ('9.2M', '1.0B')),
    *_rows('b3', 12_233_232, ('0.9627G', '1.827G'), 300, ('12M', '1.8B')),
    *_rows('b4', 19_341_616, ('1.504G', '4.394G'), 380, ('19M', '4.2B')),
    *_rows('b5', 30_389_784, ('2.356G', '10.27G'), 456, ('30M', '9.9B')),
    *_rows('b6', 43_040_704, ('3.360G', '19.07G'), 528, ('43M', '19B')),
    *_rows('b7', 66_347_960, ('5.170G', '37.75G'), 600, ('66M', '37B')),
    _lite('lite0', 4_652_008, '0.385G', 224, ('4.7M', '407M')),
    _lite('lite1', 5_416_680, '0.600G', 240, ('5.4M', '631M')),
    _lite('lite2', 6_092_072, '0.860G', 260, ('6.1M', '899M')),
    _lite('lite3', 8_197_096, '1.383G', 280, ('8.2M', '1.44B')),
    _lite('lite4', 13_006_568, '2.553G', 300, ('13.0M', '2.64B')),
)
