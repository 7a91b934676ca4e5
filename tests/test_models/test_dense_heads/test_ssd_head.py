"""SSDHead against mmdet's head, against loops in plain Python, and by hand."""

import math

import pytest
import torch
from mmdet.models.dense_heads import SSDHead as MMDetSSDHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmeff.models import SSDHead

CLASSES = 3
CHANNELS = (8, 6)
MAPS = ((4, 5), (2, 3))  # height, width
IMAGE = (32, 40)
STDS = (0.1, 0.1, 0.2, 0.2)
PRIORS = dict(
    type='mmeff.PriorBoxGenerator',
    strides=[8, 16],
    min_sizes=[8, 16],
    max_sizes=[16, 24],
    ratios=[[2], [2, 3]],
)
TRAIN = ConfigDict(
    assigner=dict(type='mmeff.BipartiteIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5),
    neg_pos_ratio=3,
    smoothl1_beta=1.0,
)
TEST = ConfigDict(
    nms_pre=1000,
    min_bbox_size=0,
    score_thr=0.2,
    nms=dict(type='nms', iou_threshold=0.45),
    max_per_img=8,
)
OBJECTS = (
    # The first two want the same prior, and the second choice of the loser is a prior that
    # the winner overlaps more; then one larger than any prior, and one between cells.
    (
        [
            [8.2, 8.6, 15.5, 15.9],
            [9.3, 8.5, 14.9, 13.6],
            [1, 2, 30, 28],
            [14, 9, 22.4, 22.3],
        ],
        [0, 1, 2, 1],
    ),
    ([[20.0, 10, 35, 17.5]], [2]),
)
METAS = [dict(img_shape=IMAGE, pad_shape=IMAGE, scale_factor=(1.0, 1.0))] * 2


def head(**kwargs) -> SSDHead:
    settings = dict(anchor_generator=PRIORS, train_cfg=TRAIN, test_cfg=TEST)
    torch.manual_seed(0)
    built = SSDHead(CLASSES, CHANNELS, **{**settings, **kwargs})
    built.init_weights()
    return built


def features(batch: int = 2, scale: float = 2.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    return tuple(
        scale * torch.randn(batch, c, *size, generator=generator)
        for c, size in zip(CHANNELS, MAPS, strict=True)
    )


def instances(objects=OBJECTS) -> list[InstanceData]:
    return [
        InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4),
            labels=torch.tensor(labels).long(),
        )
        for boxes, labels in objects
    ]


# ------------------------------------------------------- a second implementation, in loops


def iou(a, b) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return inter / (sum(areas) - inter)


def match(priors, objects) -> list[int | None]:
    """Object of each prior: greedily one each, then the closest from IoU 0.5 on."""
    table = [[iou(prior, box) for box in objects] for prior in priors]
    found: list[int | None] = [None] * len(priors)
    pairs = [
        (value, i, j)
        for i, row in enumerate(table)
        for j, value in enumerate(row)
        if value > 0
    ]
    while pairs:
        _, i, j = max(pairs, key=lambda pair: pair[0])
        found[i] = j
        pairs = [pair for pair in pairs if pair[1] != i and pair[2] != j]
    for i, row in enumerate(table):
        if found[i] is None and row and max(row) >= 0.5:
            found[i] = row.index(max(row))
    return found


def encode(prior, box) -> list[float]:
    def centre(b):
        return (b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]

    px, py, pw, ph = centre(prior)
    x, y, w, h = centre(box)
    values = ((x - px) / pw, (y - py) / ph, math.log(w / pw), math.log(h / ph))
    return [value / std for value, std in zip(values, STDS, strict=True)]


def smooth_l1(difference: float) -> float:
    d = abs(difference)
    return 0.5 * d * d if d < 1 else d - 0.5


def class_loss(logits, label, sigmoid) -> float:
    if not sigmoid:
        return math.log(sum(math.exp(v) for v in logits)) - logits[label]
    signs = [1 if i == label else -1 for i in range(len(logits))]
    return sum(
        math.log(1 + math.exp(-s * v)) for s, v in zip(signs, logits, strict=True)
    )


def rows(maps, channels) -> list[list[list[float]]]:
    """[image][prior][channel], cells row by row, the priors of a cell one by one."""
    batch = []
    for image in range(len(maps[0])):
        flat = []
        for level in maps:
            depth, height, width = level[image].shape
            for y in range(height):
                for x in range(width):
                    for first in range(0, depth, channels):
                        cell = level[image, first : first + channels, y, x]
                        flat.append(cell.tolist())
        batch.append(flat)
    return batch


def expected_losses(scores, deltas, priors, objects, sigmoid, least=0):
    cls = box = matched = 0.0
    scores, deltas = rows(scores, CLASSES + 1), rows(deltas, 4)
    for logits, offsets, (boxes, labels) in zip(scores, deltas, objects, strict=True):
        found = match(priors, boxes)
        positives = [i for i, j in enumerate(found) if j is not None]
        negatives = sorted(
            class_loss(logits[i], CLASSES, sigmoid)
            for i, j in enumerate(found)
            if j is None
        )[::-1]
        matched += len(positives)
        cls += sum(negatives[: max(3 * len(positives), least)])
        for i in positives:
            cls += class_loss(logits[i], labels[found[i]], sigmoid)
            target = encode(priors[i], boxes[found[i]])
            box += sum(
                smooth_l1(a - b) for a, b in zip(offsets[i], target, strict=True)
            )
    matched = max(matched, 1)
    return cls / matched, box / matched


def decode(prior, offsets) -> list[float]:
    dx, dy, dw, dh = (v * std for v, std in zip(offsets, STDS, strict=True))
    width, height = prior[2] - prior[0], prior[3] - prior[1]
    x = (prior[0] + prior[2]) / 2 + dx * width
    y = (prior[1] + prior[3]) / 2 + dy * height
    width, height = width * math.exp(dw), height * math.exp(dh)
    box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return [min(max(v, 0), IMAGE[1 - i % 2]) for i, v in enumerate(box)]


def expected_detections(logits, offsets, priors, sigmoid):
    """(score, label, box), the best first."""
    candidates = []
    for prior, values, delta in zip(priors, logits, offsets, strict=True):
        weights = [math.exp(v) for v in values]
        for label in range(CLASSES):
            if sigmoid:
                score = 1 / (1 + 1 / weights[label])
            else:
                score = weights[label] / sum(weights)
            box = decode(prior, delta)
            if score > TEST.score_thr and box[0] < box[2] and box[1] < box[3]:
                candidates.append((score, label, box))
    kept = []
    for candidate in sorted(candidates, reverse=True):
        if all(
            candidate[1] != other[1] or iou(candidate[2], other[2]) <= 0.45
            for other in kept
        ):
            kept.append(candidate)
    return kept[: TEST.max_per_img]


def all_priors(built: SSDHead) -> list[list[float]]:
    return torch.cat(built.prior_generator.grid_priors(MAPS, device='cpu')).tolist()


# ------------------------------------------------------------------------------ the tests


@pytest.mark.parametrize('sigmoid', [False, True])
def test_losses_are_those_of_the_loops(sigmoid):
    built = head(use_sigmoid=sigmoid)
    scores, deltas = built(features())
    found = built.loss_by_feat(scores, deltas, instances(), METAS)
    priors = all_priors(built)
    boxes = OBJECTS[0][0]
    best = [max(priors, key=lambda p, b=box: iou(p, b)) for box in boxes[:2]]
    assert best[0] == best[1], 'two objects want one prior'
    assert set(match(priors, boxes)) == {0, 1, 2, 3, None}
    expected = expected_losses(scores, deltas, priors, OBJECTS, sigmoid)
    assert found['loss_cls'].item() == pytest.approx(expected[0], rel=1e-5)
    assert found['loss_bbox'].item() == pytest.approx(expected[1], rel=1e-4)


@pytest.mark.parametrize('least', [0, 3])
def test_images_without_objects_teach_background_only_if_asked(least):
    built = head(train_cfg=ConfigDict(TRAIN, min_negatives=least))
    scores, deltas = built(features())
    nothing = (([], []), ([], []))
    found = built.loss_by_feat(scores, deltas, instances(nothing), METAS)
    expected = expected_losses(scores, deltas, all_priors(built), nothing, False, least)
    assert found['loss_cls'].item() == pytest.approx(expected[0], rel=1e-5)
    assert (found['loss_cls'].item() > 0) is (least > 0)
    assert found['loss_bbox'] == 0
    sum(found.values()).backward()
    assert all(p.grad.isfinite().all() for p in built.parameters())


@pytest.mark.parametrize('sigmoid', [False, True])
def test_detections_are_those_of_the_loops(sigmoid):
    built = head(use_sigmoid=sigmoid)
    scores, deltas = built(features())
    results = built.predict_by_feat(scores, deltas, batch_img_metas=METAS)
    logits, offsets = rows(scores, CLASSES + 1), rows(deltas, 4)
    for i, found in enumerate(results):
        expected = expected_detections(
            logits[i], offsets[i], all_priors(built), sigmoid
        )
        assert len(expected) == len(found) > 2
        wanted = [torch.tensor([row[k] for row in expected]) for k in range(3)]
        torch.testing.assert_close(found.scores, wanted[0])
        assert found.labels.equal(wanted[1])
        torch.testing.assert_close(found.bboxes, wanted[2], rtol=1e-4, atol=1e-3)


def test_half_precision_moves_no_box():
    built = head()
    scores, deltas = (
        [level.bfloat16() for level in levels] for levels in built(features())
    )
    ours = built.predict_by_feat(scores, deltas, batch_img_metas=METAS)
    exact = built.predict_by_feat(
        [level.float() for level in scores],
        [level.float() for level in deltas],
        batch_img_metas=METAS,
    )
    for a, b in zip(ours, exact, strict=True):
        assert a.bboxes.dtype == torch.float32
        assert a.bboxes.equal(b.bboxes)


@pytest.mark.parametrize('depthwise', [False, True])
def test_it_is_mmdets_head_where_both_can_do_it(depthwise):
    """Weights by name, maps, losses and detections; objects far from each other."""
    assigner = dict(
        type='MaxIoUAssigner',
        pos_iou_thr=0.5,
        neg_iou_thr=0.5,
        min_pos_iou=0.0,
        ignore_iof_thr=-1,
        gt_max_assign_all=False,
    )
    train = ConfigDict(TRAIN, assigner=assigner, allowed_border=-1, pos_weight=-1)
    layers = dict(norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU6'))
    theirs = MMDetSSDHead(
        CLASSES,
        CHANNELS,
        use_depthwise=depthwise,
        **layers,
        anchor_generator=dict(PRIORS, type='SSDAnchorGenerator', scale_major=False),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=STDS),
        train_cfg=train,
        test_cfg=TEST,
    )
    ours = head(use_depthwise=depthwise, train_cfg=train)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    apart = (([[1.0, 2, 12, 14], [18, 9, 35, 29]], [0, 1]), OBJECTS[1])
    x = features()
    a, b = ours(x), theirs(x)
    for found, expected in zip([*a[0], *a[1]], [*b[0], *b[1]], strict=True):
        assert found.equal(expected)
    losses = ours.loss_by_feat(*a, instances(apart), METAS)
    expected = theirs.loss_by_feat(*b, instances(apart), METAS)
    for name, value in losses.items():
        torch.testing.assert_close(value, sum(expected[name]).squeeze())
    for found, wanted in zip(
        ours.predict_by_feat(*a, batch_img_metas=METAS),
        theirs.predict_by_feat(*b, batch_img_metas=METAS),
        strict=True,
    ):
        assert found.bboxes.equal(wanted.bboxes)
        assert found.scores.equal(wanted.scores)


def test_maps_are_normalised_over_channels_before_both_predictions():
    built = head(l2_norm_scale=20)
    plain = head()
    plain.load_state_dict(built.state_dict(), strict=False)
    x = features()
    scaled = [20 * level / level.pow(2).sum(1, keepdim=True).sqrt() for level in x]
    for ours, expected in zip(built(x), plain(scaled), strict=True):
        for a, b in zip(ours, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert [norm.weight.numel() for norm in built.l2_norms] == list(CHANNELS)


def test_a_norm_after_the_predictions_replaces_their_biases():
    built = head(pred_norm_cfg=dict(type='BN', eps=0.001))
    for predictor in (*built.cls_convs, *built.reg_convs):
        conv, norm = predictor
        assert conv.bias is None
        assert norm.eps == 0.001
        assert norm.num_features == conv.out_channels


@pytest.mark.parametrize('size', [1, 3])
def test_kernel_sizes_keep_the_maps(size):
    built = head(kernel_size=size)
    assert built.cls_convs[0][0].kernel_size == (size, size)
    scores, deltas = built(features(1))
    assert [level.shape[-2:] for level in scores] == list(MAPS)
    assert [level.shape[1] for level in scores] == [4 * 4, 6 * 4]
    assert [level.shape[1] for level in deltas] == [4 * 4, 6 * 4]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match='kernel_size=5: expected 1 or 3'):
        head(kernel_size=5)
    with pytest.raises(ValueError, match=r'are 1 maps, but .* priors for 2'):
        SSDHead(CLASSES, (8,), PRIORS)
