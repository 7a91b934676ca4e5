"""Draw the blocks of the model pages: `python docs/draw_blocks.py`.

One function a picture; its name is that of the file in `docs/images/blocks`. Data flows
downward. What is drawn is what `mmeff/models` builds.
"""

from pathlib import Path

from drawing import Box, Drawing

FOLDER = Path(__file__).parent / 'images' / 'blocks'


def osa() -> Drawing:
    """VoVNet: one-shot aggregation, and eSE."""
    d = Drawing()
    d.title(2.9, 'OSA module')
    rows = [('input', 'data'), *[('3x3', 'conv')] * 5, ('concatenate', 'join')]
    rows += [('1x1', 'conv'), ('eSE (V2)', 'gate'), ('+', 'join'), ('output', 'data')]
    x, *convs, concat, _, _, add, _ = d.column(2.9, 0.6, rows, 1.8)
    for source in (x, *convs[:-1]):
        d.around(source, concat, 0.9)
    d.around(x, add, 4.5)
    d.text(4.65, 9.1, 'identity', 8, align='left')
    d.title(6.6, 'eSE')
    rows = [
        ('C maps', 'data'),
        ('mean over\nH and W', 'pool'),
        ('C to C layer', 'gate'),
    ]
    rows += [('hard sigmoid', 'gate'), ('scale', 'join'), ('C maps', 'data')]
    boxes = d.column(6.4, 0.6, rows, 2.0)
    d.around(boxes[0], boxes[4], 7.75)
    return d


def ghost_module() -> Drawing:
    """GhostNet: the Ghost module and the bottleneck of two."""
    d = Drawing()
    d.title(1.9, 'Ghost module')
    rows = [('input', 'data'), ('1x1\nBN, ReLU', 'conv'), ('C / 2 maps', 'data')]
    rows += [('3x3 depthwise\nBN, ReLU', 'depthwise'), ('C / 2 ghosts', 'data')]
    rows += [('concatenate', 'join'), ('C maps', 'data')]
    boxes = d.column(1.9, 0.6, rows)
    d.around(boxes[2], boxes[5], 0.3)
    d.title(5.7, 'Bottleneck')
    rows = [('input', 'data'), ('Ghost module', 'conv')]
    rows += [('stride 2: k x k\ndepthwise, BN', 'depthwise'), ('in some: SE', 'gate')]
    rows += [('Ghost module\nno ReLU', 'conv'), ('+', 'join'), ('output', 'data')]
    boxes = d.column(5.7, 0.6, rows)
    d.around(boxes[0], boxes[5], 7.5)
    return d


def g_ghost_stage() -> Drawing:
    """G-Ghost RegNet: a stage whose ghosts come from its first block."""
    d = Drawing()
    rows = [('input', 'data'), ('first block\nstride 2', 'conv'), ('split', 'join')]
    split = d.column(3.2, 0.2, rows)[2]
    rows = [('narrow block', 'conv')] * 2 + [('...', 'data'), ('narrow block', 'conv')]
    blocks = d.column(1.6, 4.0, rows)
    d.arrow(split.bottom, (3.2, 3.65), (1.6, 3.65), blocks[0].top)
    cheap = d.box(4.8, 4.3, '1x1, BN', width=1.8)
    d.arrow(split.bottom, (3.2, 3.65), (4.8, 3.65), cheap.top)
    d.text(1.5, 3.4, 'some channels', 8)
    d.text(4.95, 3.4, 'the ghosts', 8)
    add = d.box(4.8, 6.3, '+', 'join', 1.8)
    relu = d.box(4.8, 7.3, 'ReLU', 'gate', 1.8)
    d.arrow(cheap.bottom, add.top)
    d.arrow(add.bottom, relu.top)
    mix = d.box(
        7.0, 4.9, 'mix: means\nover H and W,\n1x1, BN, ReLU,\n1x1, BN', 'gate', 1.9
    )
    d.arrow(mix.bottom, (7.0, 6.3), add.right)
    d.arrow((4.4, 1.45), (7.0, 1.45), mix.top)
    d.text(6.0, 1.2, 'outputs of the first block', 8)
    d.text(7.0, 6.6, 'also outputs of\nall narrow blocks', 8)
    concat = d.box(3.2, 8.1, 'concatenate', 'join')
    d.arrow(blocks[-1].bottom, (1.6, 8.1), concat.left)
    d.arrow(relu.bottom, (4.8, 8.1), concat.right)
    last = d.box(3.2, 9.0, 'last block')
    d.arrow(concat.bottom, last.top)
    return d


def shufflenet_unit() -> Drawing:
    """ShuffleNetV2: units of stride 1 and 2."""
    d = Drawing()
    worked = [('1x1\nBN, ReLU', 'conv'), ('3x3 depthwise\nBN', 'depthwise')]
    worked += [('1x1\nBN, ReLU', 'conv')]
    d.title(2.0, 'stride 1')
    rows = [('input', 'data'), ('shuffle and split', 'join')]
    split = d.column(2.0, 0.6, rows, 3.0)[1]
    boxes = d.column(2.45, 2.7, worked, 2.0)
    concat, _ = d.column(2.0, 6.8, [('concatenate', 'join'), ('output', 'data')], 3.0)
    d.arrow((0.9, split.bottom[1]), (0.9, concat.top[1]))
    d.arrow((2.45, split.bottom[1]), boxes[0].top)
    d.arrow(boxes[-1].bottom, (2.45, concat.top[1]))
    d.title(6.0, 'stride 2')
    x = d.box(6.0, 0.9, 'input', 'data')
    halved = ('3x3/2 depthwise\nBN', 'depthwise')
    concat, _ = d.column(6.0, 6.8, [('concatenate', 'join'), ('output', 'data')], 3.4)
    for column, rows in (
        (5.0, [halved, worked[2]]),
        (7.0, [worked[0], halved, worked[2]]),
    ):
        boxes = d.column(column, 2.7, rows, 1.9)
        d.arrow(x.bottom, (6.0, 2.2), (column, 2.2), boxes[0].top)
        d.arrow(boxes[-1].bottom, (column, concat.top[1]))
    return d


def mobilenet_units() -> Drawing:
    """MobileNet V1, V2 and V3."""
    d = Drawing()
    d.title(1.2, 'V1')
    rows = [('input', 'data'), ('3x3 depthwise\nBN, ReLU6', 'depthwise')]
    d.column(1.2, 0.6, [*rows, ('1x1\nBN, ReLU6', 'conv'), ('output', 'data')], 2.0)
    d.title(3.9, 'V2')
    _inverted_residual(d, 3.7, 5.1, 'BN, ReLU6', '3x3', '')
    d.title(6.7, 'V3')
    _inverted_residual(d, 6.5, 7.8, 'BN, act', '3x3 or 5x5', 'SE (in some)')
    return d


def mbconv() -> Drawing:
    """EfficientNet: MBConv and its squeeze-and-excitation."""
    d = Drawing()
    d.title(2.2, 'MBConv')
    rows = [('C channels', 'data'), ('1x1, 6 C channels\nBN, swish', 'conv')]
    rows += [('k x k depthwise\nBN, swish', 'depthwise'), ('SE', 'gate')]
    rows += [('1x1\nBN', 'conv'), ('skipped at random\n(in training)', 'gate')]
    boxes = d.column(2.2, 0.6, [*rows, ('+', 'join'), ('output', 'data')], 2.7)
    d.around(boxes[0], boxes[6], 4.1)
    d.title(6.3, 'SE')
    rows = [('6 C maps', 'data'), ('mean over\nH and W', 'pool')]
    rows += [('1x1, C / 4\nswish', 'gate'), ('1x1, 6 C\nsigmoid', 'gate')]
    boxes = d.column(6.1, 0.6, [*rows, ('scale', 'join'), ('6 C maps', 'data')], 2.2)
    d.around(boxes[0], boxes[4], 7.7)
    return d


def dense_block() -> Drawing:
    """DenseNet: a dense layer, and how a block joins them."""
    d = Drawing()
    d.title(1.9, 'dense layer')
    rows = [
        ('input', 'data'),
        ('BN, ReLU\n1x1', 'conv'),
        ('BN, ReLU\n3x3: k maps', 'conv'),
    ]
    boxes = d.column(
        1.9, 0.6, [*rows, ('concatenate', 'join'), ('k more maps', 'data')]
    )
    d.around(boxes[0], boxes[3], 0.3)
    d.title(6.0, 'block and transition')
    rows = [('input', 'data'), *[('dense layer', 'conv')] * 3]
    rows += [('BN, ReLU, 1x1', 'conv'), ('output', 'data')]
    boxes = d.column(6.0, 0.6, rows)
    for i, source in enumerate(boxes[:4]):
        for target in boxes[i + 2 : 5]:
            d.around(source, target, 4.5 - 0.22 * i)
    return d


def pelee() -> Drawing:
    """PeleeNet: the stem and the two-way dense layer."""
    d = Drawing()
    d.title(2.0, 'stem')
    first = d.column(2.0, 0.6, [('image', 'data'), ('3x3/2, 32', 'conv')])[1]
    _two_ways(
        d,
        2.0,
        first,
        [('max pool\n2x2/2', 'pool')],
        [('1x1, 16', 'conv'), ('3x3/2, 32', 'conv')],
        [('concatenate', 'join'), ('1x1, 32', 'conv')],
    )
    d.title(6.1, 'two-way dense layer')
    x = d.box(6.1, 0.9, 'input', 'data')
    tail = _two_ways(
        d,
        6.1,
        x,
        [('1x1', 'conv'), ('3x3, 16', 'conv')],
        [('1x1', 'conv'), ('3x3, 16', 'conv'), ('3x3, 16', 'conv')],
        [('concatenate', 'join'), ('32 more maps', 'data')],
    )
    d.around(x, tail[0], 4.05)
    return d


def ssdlite_head() -> Drawing:
    """SSDLite: one map of the head, and the maps that it works on."""
    d = Drawing()
    d.title(2.1, 'maps, 320 pixels')
    rows = [('20 x 20, stride 16', 'data'), ('10 x 10, stride 32', 'data')]
    rows += [('5 x 5', 'data'), ('3 x 3', 'data'), ('2 x 2', 'data'), ('1 x 1', 'data')]
    for box in d.column(1.7, 0.6, rows):
        d.arrow(box.right, (3.4, box.y))
    d.title(6.1, 'head of each map')
    x = d.box(6.1, 0.9, 'map', 'data', 1.4)
    scores, offsets = 'class scores\nof all priors', 'box offsets\nof all priors'
    for column, text in ((5.0, scores), (6.95, offsets)):
        rows = [
            ('3x3 depthwise\nBN, ReLU6', 'depthwise'),
            ('1x1', 'conv'),
            (text, 'data'),
        ]
        boxes = d.column(column, 2.0, rows, 1.8)
        d.arrow(x.bottom, (6.1, 1.6), (column, 1.6), boxes[0].top)
    return d


def dsod() -> Drawing:
    """DSOD: the stem, and a map from the one before it."""
    d = Drawing()
    d.title(1.5, 'stem')
    rows = [('image', 'data'), ('3x3/2, 64', 'conv'), ('3x3, 64', 'conv')]
    rows += [('3x3, 128', 'conv'), ('max pool 2x2/2', 'pool'), ('stride 4', 'data')]
    d.column(1.5, 0.6, rows)
    d.title(5.5, 'next map')
    x = d.box(5.5, 0.9, 'map', 'data')
    _two_ways(
        d,
        5.5,
        x,
        [('max pool\n2x2/2', 'pool'), ('BN, ReLU\n1x1', 'conv')],
        [('BN, ReLU\n1x1', 'conv'), ('BN, ReLU\n3x3/2', 'conv')],
        [('concatenate', 'join'), ('half the size', 'data')],
    )
    d.text(4.4, 1.6, 'reused', 8, align='right')
    d.text(6.6, 1.6, 'learned', 8, align='left')
    return d


def refinedet_tcb() -> Drawing:
    """RefineDet: transfer connection block between ARM and ODM."""
    d = Drawing()
    rows = [('map', 'data'), ('3x3, BN, ReLU', 'conv'), ('3x3, BN', 'conv')]
    rows += [('+', 'join'), ('ReLU', 'gate'), ('3x3, BN, ReLU', 'conv')]
    boxes = d.column(2.2, 1.1, rows)
    d.title(2.2, 'TCB of one level')
    arm = d.box(6.2, boxes[0].y, 'ARM\nobject or not,\nfirst offsets', 'gate', 2.6)
    d.arrow(boxes[0].right, arm.left)
    up = d.box(6.2, boxes[3].y, '2x2/2 deconvolution\nBN', 'conv', 3.0)
    d.arrow(up.left, boxes[3].right)
    coarser = d.box(
        6.2, boxes[3].y - 1.5, 'TCB of the next\ncoarser level', 'data', 2.8
    )
    d.arrow(coarser.bottom, up.top)
    odm = d.box(6.2, boxes[5].y, 'ODM\nclasses,\nsecond offsets', 'gate', 2.6)
    d.arrow(boxes[5].right, odm.left)
    down = d.box(2.2, boxes[5].y + 1.2, 'to the next finer level', 'data', 3.0)
    d.arrow(boxes[5].bottom, down.top)
    d.arrow((7.8, arm.y), (7.8, odm.y), odm.right)
    d.line(arm.right, (7.8, arm.y))
    d.text(7.7, up.y + 0.75, 'moved anchors', 8, align='right')
    return d


def _inverted_residual(
    d: Drawing, x: float, bus: float, after: str, kernel: str, gate: str
) -> None:
    rows = [('input', 'data'), (f'1x1 expand\n{after}', 'conv')]
    rows += [(f'{kernel} depthwise\n{after}', 'depthwise')]
    rows += [(gate, 'gate')] if gate else []
    rows += [('1x1 project\nBN', 'conv'), ('+', 'join'), ('output', 'data')]
    boxes = d.column(x, 0.6, rows, 2.3)
    d.around(boxes[0], boxes[-2], bus)


def _two_ways(d: Drawing, x: float, start: Box, left, right, tail) -> list[Box]:
    """Two columns below `start` at either side of x, joined by the first of `tail`."""
    top = start.bottom[1] + 0.75
    ends = []
    for column, rows in ((x - 0.95, left), (x + 0.95, right)):
        boxes = d.column(column, top, rows, 1.7)
        d.arrow(start.bottom, (start.x, top - 0.4), (column, top - 0.4), boxes[0].top)
        ends.append(boxes[-1])
    lowest = max(end.bottom[1] for end in ends)
    joined = d.column(x, lowest + 0.45, tail, 3.2)
    for end in ends:
        d.arrow(end.bottom, (end.x, joined[0].top[1]))
    return joined


DRAWINGS = (
    osa,
    ghost_module,
    g_ghost_stage,
    shufflenet_unit,
    mobilenet_units,
    mbconv,
    dense_block,
    pelee,
    ssdlite_head,
    dsod,
    refinedet_tcb,
)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for draw in DRAWINGS:
        draw().save(FOLDER / f'{draw.__name__}.svg')


if __name__ == '__main__':
    main()
