"""The experiments as data: shapes, and the speeds that the papers print.

Channels are those of width x1; the papers' columns x2 and x4 have twice and four times
as many.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from mmeff.guidelines import nets

WIDTHS = (1, 2, 4)


@dataclass(frozen=True)
class Column:
    """One net in one column of a paper's table.

    Attributes:
        channels: At width x1; arguments of `Variant.build`.
        speeds: As printed, at the widths that the paper has.
    """

    channels: tuple[int, ...]
    speeds: tuple[float, ...]


@dataclass(frozen=True)
class Variant:
    """One row of a paper's table.

    Attributes:
        name: What distinguishes it within its guideline.
        build: Channels -> the net.
        gpu, cpu: The two columns; they may be the same one.
        groups: Channels are rounded up to a multiple of it, which torch needs.
        paper_gmacs: Where the paper prints them.
    """

    name: str
    build: Callable[..., nn.Module]
    gpu: Column
    cpu: Column
    groups: int = 1
    paper_gmacs: float | None = None

    def column(self, columns: str) -> Column:
        """The column 'gpu' or 'cpu'."""
        return {'gpu': self.gpu, 'cpu': self.cpu}[columns]

    def channels(self, columns: str, width: int) -> tuple[int, ...]:
        """Channels at a width, a multiple of `groups`."""
        return tuple(
            -(-width * c // self.groups) * self.groups
            for c in self.column(columns).channels
        )


@dataclass(frozen=True)
class Guideline:
    """One experiment: nets that compute alike and are not alike fast.

    Attributes:
        key: Name on the command line.
        claim: What the paper concludes.
        variants: The first is the one that the others are compared with.
        gpu, cpu: Unit and device of the paper's columns.
        widths: Those in the paper.
        in_channels, size: Of the image; `in_channels` None: the net's first channels.
    """

    key: str
    claim: str
    variants: tuple[Variant, ...]
    gpu: str = 'batches/s, GTX 1080Ti'
    cpu: str = 'images/s, Snapdragon 810'
    widths: tuple[int, ...] = WIDTHS
    in_channels: int | None = None
    size: int = 56


def _ratio(name: str, gpu: Column, cpu: Column) -> Variant:
    return Variant(name, nets.equal_width, gpu, cpu)


G1 = Guideline(
    'G1',
    'Equal input and output channels need the least memory access.',
    (
        _ratio(
            '1:1',
            Column((128, 128), (1480, 723, 232)),
            Column((32, 32), (76.2, 21.7, 5.3)),
        ),
        _ratio(
            '1:2',
            Column((90, 180), (1296, 586, 206)),
            Column((22, 44), (72.9, 20.5, 5.1)),
        ),
        _ratio(
            '1:6',
            Column((52, 312), (876, 489, 189)),
            Column((13, 78), (69.1, 17.9, 4.6)),
        ),
        _ratio(
            '1:12',
            Column((36, 432), (748, 392, 163)),
            Column((9, 108), (57.6, 15.1, 4.4)),
        ),
    ),
)


def _groups(groups: int, gpu: Column, cpu: Column) -> Variant:
    build = partial(nets.grouped, groups=groups)
    return Variant(f'g = {groups}', build, gpu, cpu, groups)


G2 = Guideline(
    'G2',
    'Group convolution costs memory access: more channels for the same MACs.',
    (
        _groups(1, Column((128,), (2451, 1289, 437)), Column((64,), (40.0, 10.2, 2.3))),
        _groups(2, Column((180,), (1725, 873, 341)), Column((90,), (35.0, 9.5, 2.2))),
        _groups(4, Column((256,), (1026, 644, 338)), Column((128,), (32.9, 8.7, 2.1))),
        _groups(8, Column((360,), (634, 445, 230)), Column((180,), (27.8, 7.5, 1.8))),
    ),
)


def _fragments(fragments: int, kind: str, gpu: Column, cpu: Column) -> Variant:
    build = {'series': nets.series, 'parallel': nets.parallel}[kind]
    name = f'{fragments} in {kind}' if fragments > 1 else '1 fragment'
    return Variant(name, partial(build, fragments=fragments), gpu, cpu)


# The paper says that channels are reduced to keep the MACs, not to which number: those
# of two fragments are 1 / sqrt(2), rounded as it rounds them in G1 and G2.
G3 = Guideline(
    'G3',
    'Fragments, many small layers in place of one, leave a device idle.',
    (
        _fragments(
            1,
            'series',
            Column((128,), (2446, 1274, 434)),
            Column((64,), (40.2, 10.1, 2.3)),
        ),
        _fragments(
            2,
            'series',
            Column((90,), (1790, 909, 336)),
            Column((45,), (38.6, 10.1, 2.2)),
        ),
        _fragments(
            4,
            'series',
            Column((64,), (752, 745, 349)),
            Column((32,), (38.4, 10.1, 2.3)),
        ),
        _fragments(
            2,
            'parallel',
            Column((90,), (1537, 803, 320)),
            Column((45,), (33.4, 9.1, 2.2)),
        ),
        _fragments(
            4,
            'parallel',
            Column((64,), (691, 572, 292)),
            Column((32,), (35.0, 8.4, 2.1)),
        ),
    ),
)


def _elementwise(
    name: str, relu: bool, shortcut: bool, gpu: tuple, cpu: tuple
) -> Variant:
    build = partial(nets.bottlenecks, relu=relu, shortcut=shortcut)
    return Variant(name, build, Column((32,), gpu), Column((32,), cpu))


G4 = Guideline(
    'G4',
    'Element-wise operations take time, although they count no MACs.',
    (
        _elementwise('neither', False, False, (2842, 2376, 1782), (66.3, 20.2, 5.4)),
        _elementwise('ReLU', True, False, (2647, 2256, 1735), (61.9, 18.8, 5.2)),
        _elementwise('shortcut', False, True, (2672, 2121, 1458), (57.3, 18.2, 5.1)),
        _elementwise('both', True, True, (2427, 2066, 1436), (56.7, 16.9, 5.0)),
    ),
)


def _vovnet(name: str, bottleneck: bool, gmacs: float, milliseconds: float) -> Variant:
    column = Column((), (1000 / milliseconds,))
    build = partial(nets.vovnet27_slim, bottleneck)
    return Variant(name, build, column, column, paper_gmacs=gmacs)


# The paper times the whole detector DSOD300, and on a GPU only.
_DSOD = 'images/s of DSOD300, from 14 and 18 ms, TITAN X Pascal'
BOTTLENECK = Guideline(
    'bottleneck',
    '1x1 bottlenecks save MACs and cost time: each layer has less to do.',
    (
        _vovnet('VoVNet-27-slim', False, 5.6, 14),
        _vovnet('with 1x1 bottlenecks', True, 4.6, 18),
    ),
    gpu=_DSOD,
    cpu=_DSOD,
    widths=(1,),
    in_channels=3,
    size=300,
)

GUIDELINES = {g.key: g for g in (G1, G2, G3, G4, BOTTLENECK)}
