"""Ghost modules on CIFAR-10, https://arxiv.org/abs/1911.11907, section 4.1.

The authors published no code for them: the networks follow their description, and the
head of VGG-16 is the one that gives their counts.
"""

from mmeff.fidelity.row import Row

NO_LIBRARY = 'no library has it: the tests have a second implementation'
CUT_OFF = f"{NO_LIBRARY}. The paper cuts the multiply-adds' digits off"
CHEAP_KERNEL = (
    f"{NO_LIBRARY}. The paper's numbers are those of d=1, or of d=3 with the cheap "
    'convolutions left out (0.429M, 62.9M); which of both it means is not known'
)


def _row(
    kind: str, s: int, d: int, params: int, macs: str, *published, note=NO_LIBRARY
) -> Row:
    name = kind if s == 1 else f'Ghost-{kind} s={s} d={d}'
    return Row(
        f'{name}, CIFAR-10',
        dict(type=f'Ghost{kind.replace("-", "")}', ratio=s, cheap_kernel_size=d),
        params,
        macs,
        size=32,
        published=published,
        note=note,
    )


ROWS = (
    _row('VGG-16', 1, 3, 14_987_722, '313.5M', '15.0M', '313M'),
    _row('VGG-16', 2, 3, 7_651_498, '158.1M', '7.7M', '158M'),
    _row('VGG-16', 3, 3, 5_219_500, '107.2M', '5.2M', '107M'),
    _row('VGG-16', 4, 3, 3_983_386, '80.4M', '4.0M', '80M'),
    _row('VGG-16', 5, 3, 3_270_721, '65.7M', '3.3M', '65M', note=CUT_OFF),
    _row('VGG-16', 2, 1, 7_634_602, '157.0M', '7.6M', '157M'),
    _row('VGG-16', 2, 5, 7_685_290, '160.3M', '7.7M', '160M'),
    _row('VGG-16', 2, 7, 7_735_978, '163.6M', '7.7M', '163M', note=CUT_OFF),
    _row('ResNet-56', 1, 3, 853_018, '125.5M', '0.85M', '125M'),
    _row('ResNet-56', 2, 3, 438_154, '65.3M', '0.43M', '63M', note=CHEAP_KERNEL),
    _row('ResNet-56', 2, 1, 430_090, '63.2M', '0.43M', '63M', note=CHEAP_KERNEL),
)
