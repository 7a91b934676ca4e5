"""G-Ghost RegNetX, https://arxiv.org/abs/2201.03297; numbers of the authors' README.

No library has it. The tests hold a second implementation, and compare the plain stages
with timm's RegNetX.
"""

from mmeff.fidelity.row import Row

UNPUBLISHED = "counted on the authors' code; they print no numbers for it"
SECOND = 'in no library; the tests hold a second implementation'
ROUNDED_UP = '4.2B is 4.15 G rounded up'


def _row(
    arch: str,
    params: int,
    macs: str,
    published: tuple[str | None, str | None] = (None, None),
    note: str = UNPUBLISHED,
) -> Row:
    return Row(
        f'G-Ghost RegNetX {arch}',
        dict(type='GGhostRegNet', arch=arch, num_classes=1000),
        params,
        macs,
        published=published,
        note=note,
    )


def _without_mix(arch: str, params: int, macs: str) -> Row:
    return Row(
        f'G-Ghost RegNetX {arch} without mix',
        dict(type='GGhostRegNet', arch=arch, mix=False, num_classes=1000),
        params,
        macs,
        note="the authors' code less its merge; they publish no code or weights for it",
    )


ROWS = (
    _row('002', 1_825_440, '0.131G'),
    _row('004', 2_884_456, '0.221G'),
    _row('006', 4_029_776, '0.390G'),
    _row('008', 5_248_328, '0.529G'),
    _row('016', 7_109_660, '1.021G'),
    _row('032', 10_511_000, '1.8017G', published=('10.5M', '1.8B'), note=SECOND),
    _row('040', 15_726_268, '2.2284G', published=('15.7M', '2.2B'), note=SECOND),
    _row('064', 17_993_748, '4.055G'),
    _row('080', 24_586_928, '4.1497G', published=('24.6M', '4.2B'), note=ROUNDED_UP),
    _row('120', 30_627_208, '7.378G'),
    _row('160', 32_381_704, '8.9974G', published=('32.4M', '9.0B'), note=SECOND),
    _row('320', 62_815_448, '17.16G'),
    _without_mix('032', 9_691_160, '1.8009G'),
    _without_mix('040', 14_452_128, '2.2271G'),
    _without_mix('080', 22_412_288, '4.1475G'),
    _without_mix('160', 28_982_792, '8.9940G'),
)
