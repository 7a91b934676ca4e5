"""RefineDet's head against loops written from the paper, and small cases by hand."""

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torch.testing import assert_close

from mmeff.models.dense_heads import RefineDetHead

THETA = 0.01
IMAGE = 64
SIDES = (8, 4, 2, 1)  # of the maps
NUM_CLASSES = 3


def make_head(
    num_classes: int = NUM_CLASSES, arm=(0.5, 0.5), **kwargs
) -> RefineDetHead:
    def assigner(pos: float, neg: float) -> dict:
        return dict(type='mmeff.BipartiteIoUAssigner', pos_iou_thr=pos, neg_iou_thr=neg)

    settings = dict(
        in_channels=(4, 4, 4, 4),
        feat_channels=4,
        with_inter=False,
        train_cfg=ConfigDict(
            arm=dict(assigner=assigner(*arm)),
            odm=dict(assigner=assigner(0.5, 0.5)),
            neg_pos_ratio=3,
        ),
        test_cfg=ConfigDict(
            score_thr=0.01,
            nms_pre=1000,
            nms=dict(type='nms', iou_threshold=0.45),
            max_per_img=500,
        ),
    )
    return RefineDetHead(num_classes, **{**settings, **kwargs})


def objects(boxes: list, labels: list) -> InstanceData:
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
    )


def random_outputs(seed: int, batch: int = 2) -> list[list[Tensor]]:
    """What a head may put out: objectness on both sides of theta, boxes that move."""
    generator = torch.Generator().manual_seed(seed)

    def maps(outputs: int, spread: float) -> list[Tensor]:
        return [
            torch.randn(batch, 3 * outputs, side, side, generator=generator) * spread
            for side in SIDES
        ]

    return [maps(2, 4), maps(4, 1), maps(NUM_CLASSES + 1, 3), maps(4, 1)]


# --- the second implementation: Python numbers, one prior after the other ------------


def paper_anchors(image: int, levels: int = 4) -> list[list[float]]:
    """Section 3: strides 8 to 64, 4 strides wide, aspect ratios 1, 2 and 1/2."""
    anchors = []
    for stride in (8, 16, 32, 64)[:levels]:
        for row in range(image // stride):
            for column in range(image // stride):
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                for ratio in (1, 2, 1 / 2):
                    w, h = 4 * stride * ratio**0.5, 4 * stride / ratio**0.5
                    anchors.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return anchors


def rows(maps: list[Tensor], image: int, outputs: int) -> list[list[float]]:
    """Predictions in the order of the anchors: level, row, column, anchor."""
    found = []
    for level in maps:
        _, channels, height, width = level.shape
        for y in range(height):
            for x in range(width):
                cell = level[image, :, y, x].tolist()
                found += [cell[i : i + outputs] for i in range(0, channels, outputs)]
    return found


def area(box: list[float]) -> float:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def iou(a: list[float], b: list[float]) -> float:
    common = [max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])]
    shared = area(common)
    return shared / (area(a) + area(b) - shared) if shared else 0.0


def centre(box: list[float]) -> tuple[float, float, float, float]:
    width, height = box[2] - box[0], box[3] - box[1]
    return box[0] + width / 2, box[1] + height / 2, width, height


def encode(prior: list[float], box: list[float]) -> list[float]:
    (px, py, pw, ph), (x, y, w, h) = centre(prior), centre(box)
    dx, dy, dw, dh = (x - px) / pw, (y - py) / ph, math.log(w / pw), math.log(h / ph)
    return [dx / 0.1, dy / 0.1, dw / 0.2, dh / 0.2]


def decode(prior: list[float], offsets: list[float]) -> list[float]:
    px, py, pw, ph = centre(prior)
    dx, dy, dw, dh = offsets
    x, y = px + 0.1 * dx * pw, py + 0.1 * dy * ph
    w, h = pw * math.exp(0.2 * dw), ph * math.exp(0.2 * dh)
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(value - max(logits)) for value in logits]
    return [power / sum(powers) for power in powers]


def match_one_by_one(priors, boxes, positive: float, negative: float) -> list:
    """For each prior the number of its object, 'background' or 'ignored'."""
    overlaps = {
        (p, b): iou(prior, box)
        for p, prior in enumerate(priors)
        for b, box in enumerate(boxes)
    }
    matches, free_objects = {}, set(range(len(boxes)))
    while free_objects:
        pairs = [
            (overlap, p, b)
            for (p, b), overlap in overlaps.items()
            if b in free_objects and p not in matches and overlap > 1e-6
        ]
        if not pairs:
            break
        _, p, b = max(pairs)
        matches[p] = b
        free_objects.remove(b)
    for p in range(len(priors)):
        if p in matches:
            continue
        best, b = max(((overlaps[p, b], b) for b in range(len(boxes))), default=(0, -1))
        if boxes and best >= positive:
            matches[p] = b
        else:
            matches[p] = 'background' if best < negative else 'ignored'
    return [matches[p] for p in range(len(priors))]


def sums(matches, priors, boxes, labels, background, logits, offsets, eligible):
    """Sums of both losses over an image, its number of matches, and its negatives."""
    found = [p for p, match in enumerate(matches) if isinstance(match, int)]
    candidates = [
        (-math.log(softmax(logits[p])[background]), p)
        for p, match in enumerate(matches)
        if match == 'background' and eligible[p]
    ]
    negatives = sorted(candidates, reverse=True)[: 3 * len(found)]
    loss_cls, loss_bbox = sum(loss for loss, _ in negatives), 0.0
    for p in found:
        loss_cls -= math.log(softmax(logits[p])[labels[matches[p]]])
        target = encode(priors[p], boxes[matches[p]])
        for value, wanted in zip(offsets[p], target, strict=True):
            error = abs(value - wanted)
            loss_bbox += error**2 / 2 if error < 1 else error - 0.5
    return loss_cls, loss_bbox, len(found), {p for _, p in negatives}


def slow_loss(outputs: list[list[Tensor]], gts: list[InstanceData], arm=(0.5, 0.5)):
    """All four losses; and, over the batch, what the filter did."""
    totals, filtered = {'arm': [0, 0, 0], 'odm': [0, 0, 0]}, {'kept': 0, 'dropped': 0}
    anchors = paper_anchors(IMAGE)
    for i, gt in enumerate(gts):
        boxes, labels = gt.bboxes.tolist(), gt.labels.tolist()
        arm_cls, arm_reg = rows(outputs[0], i, 2), rows(outputs[1], i, 4)
        odm_cls, odm_reg = rows(outputs[2], i, NUM_CLASSES + 1), rows(outputs[3], i, 4)
        everyone = [True] * len(anchors)
        objectness = [softmax(logits)[0] for logits in arm_cls]
        eligible = [value >= THETA for value in objectness]
        refined = [decode(a, o) for a, o in zip(anchors, arm_reg, strict=True)]
        matches = match_one_by_one(anchors, boxes, *arm)
        zeros = [0] * len(boxes)
        step = sums(matches, anchors, boxes, zeros, 1, arm_cls, arm_reg, everyone)
        totals['arm'] = [a + b for a, b in zip(totals['arm'], step[:3], strict=True)]
        matches = match_one_by_one(refined, boxes, 0.5, 0.5)
        case = (matches, refined, boxes, labels, NUM_CLASSES, odm_cls, odm_reg)
        step = sums(*case, eligible)
        totals['odm'] = [a + b for a, b in zip(totals['odm'], step[:3], strict=True)]
        filtered['kept'] += sum(
            isinstance(match, int) and not ok
            for match, ok in zip(matches, eligible, strict=True)
        )
        filtered['dropped'] += len(sums(*case, everyone)[3] - step[3])
    losses = {}
    for name, (loss_cls, loss_bbox, count) in totals.items():
        losses[f'loss_{name}_cls'] = loss_cls / max(count, 1)
        losses[f'loss_{name}_bbox'] = loss_bbox / max(count, 1)
    return losses, filtered


def slow_detections(outputs, image: int, cfg, scale: float) -> list[tuple]:
    """Score, label and box of each detection, best first."""
    candidates = [[] for _ in range(NUM_CLASSES)]
    for anchor, objectness, first, logits, second in zip(
        paper_anchors(IMAGE),
        rows(outputs[0], image, 2),
        rows(outputs[1], image, 4),
        rows(outputs[2], image, NUM_CLASSES + 1),
        rows(outputs[3], image, 4),
        strict=True,
    ):
        if softmax(objectness)[0] < THETA:
            continue
        box = decode(decode(anchor, first), second)
        box = [min(max(value, 0), IMAGE) / scale for value in box]
        for label, score in enumerate(softmax(logits)[:-1]):
            if score > cfg.score_thr:
                candidates[label].append((score, label, box))
    kept = []
    for members in candidates:
        survivors = []
        for member in sorted(members, reverse=True)[: cfg.nms_pre]:
            overlaps = [iou(member[2], other[2]) for other in survivors]
            if all(overlap <= cfg.nms.iou_threshold for overlap in overlaps):
                survivors.append(member)
        kept += survivors
    return sorted(kept, reverse=True)[: cfg.max_per_img]


# --- anchors -----------------------------------------------------------------------


@pytest.mark.parametrize(('image', 'count'), [(320, 6375), (512, 16320)])
def test_anchors_are_the_papers(image, count):
    sizes = [(image // stride,) * 2 for stride in (8, 16, 32, 64)]
    levels = make_head().prior_generator.grid_priors(sizes, device='cpu')
    anchors = torch.cat(levels)
    assert len(anchors) == count
    assert_close(anchors, torch.tensor(paper_anchors(image)), rtol=1e-5, atol=1e-4)


# --- loss --------------------------------------------------------------------------

# The first two want one anchor. None lies in several anchors of its own size: which of
# equals is taken would be a matter of rounding.
BOXES = [
    [4.3, 5.1, 37.2, 38.4],
    [6.2, 6.1, 39.0, 39.7],
    [33.4, 30.9, 62.2, 60.3],
    [1.3, 34.6, 27.1, 63.2],
]


@pytest.mark.parametrize('arm', [(0.5, 0.5), (0.7, 0.3)])
@pytest.mark.parametrize('seed', range(3))
def test_loss_equals_the_loops(seed, arm):
    outputs = random_outputs(seed)
    gts = [objects(BOXES, [0, 2, 1, 1]), objects(BOXES[2:], [2, 0])]
    expected, filtered = slow_loss(outputs, gts, arm)
    assert filtered['kept'] > 0, 'no positive of low objectness in this case'
    assert filtered['dropped'] > 0, 'the filter changed nothing in this case'
    losses = make_head(arm=arm).loss_by_feat(*outputs, gts, [{}, {}])
    assert {key: value.item() for key, value in losses.items()} == pytest.approx(
        expected, rel=1e-4
    )


def test_image_without_objects_adds_nothing():
    outputs = random_outputs(5)
    gts = [objects(BOXES, [0, 2, 1, 1]), objects([], [])]
    losses = make_head().loss_by_feat(*outputs, gts, [{}, {}])
    first = [[level[:1] for level in maps] for maps in outputs]
    alone = make_head().loss_by_feat(*first, gts[:1], [{}])
    assert_close(losses, alone)


def test_batch_without_objects_has_a_loss_of_zero_with_gradients():
    outputs = [[level.requires_grad_() for level in m] for m in random_outputs(6)]
    losses = make_head().loss_by_feat(*outputs, [objects([], [])] * 2, [{}, {}])
    assert all(value == 0 for value in losses.values())
    sum(losses.values()).backward()
    assert all(level.grad is not None for maps in outputs for level in maps)


def four_anchors(arm_cls, odm_cls, moves=(0, 0, 0, 0)) -> tuple:
    """A head with one anchor a cell, 64 pixels wide, and outputs for a row of four."""
    generator = dict(
        type='mmeff.PriorBoxGenerator',
        strides=[64],
        min_sizes=[64],
        max_sizes=None,
        ratios=[[]],
    )
    head = make_head(num_classes=1, in_channels=(4,), anchor_generator=generator)
    arm_reg, odm_reg = torch.zeros(1, 4, 1, 4), torch.zeros(1, 4, 1, 4)
    arm_reg[0, 0, 0] = torch.tensor(moves) / 0.1  # in widths to the right
    outputs = [
        torch.tensor(arm_cls, dtype=torch.float32).T.reshape(1, 2, 1, 4),
        arm_reg,
        torch.tensor(odm_cls, dtype=torch.float32).T.reshape(1, 2, 1, 4),
        odm_reg,
    ]
    return head, [[x.requires_grad_()] for x in outputs]


def test_filter_keeps_positives_and_drops_negatives():
    """Objectness of the first and the last anchor is sigmoid(-5) = .0067 < .01."""
    arm_cls = [[-5, 0], [0, 0], [0, 0], [-5, 0]]
    odm_cls = [[0, 0], [0, 0], [0, 0], [9, 0]]
    head, outputs = four_anchors(arm_cls, odm_cls)
    losses = head.loss_by_feat(*outputs, [objects([[0, 0, 64, 64]], [0])], [{}])
    ln2 = math.log(2)
    assert losses['loss_arm_cls'].item() == pytest.approx(
        math.log(1 + math.exp(5)) + 2 * ln2 + math.log(1 + math.exp(-5)), rel=1e-5
    )
    # The positive and two negatives; the third would have cost log(1 + e^9) = 9.
    assert losses['loss_odm_cls'].item() == pytest.approx(3 * ln2, rel=1e-5)
    assert losses['loss_arm_bbox'] == losses['loss_odm_bbox'] == 0


def test_second_step_matches_refined_anchors_without_moving_them():
    """The ARM moves the first anchor onto the second, where the object is."""
    head, outputs = four_anchors([[0, 0]] * 4, [[0, 0]] * 4, moves=(1, 0, 0, 0))
    losses = head.loss_by_feat(*outputs, [objects([[64, 0, 128, 64]], [0])], [{}])
    ln2 = math.log(2)
    assert losses['loss_arm_cls'].item() == pytest.approx(4 * ln2, rel=1e-5)
    assert losses['loss_odm_cls'].item() == pytest.approx((2 + 2) / 2 * ln2, rel=1e-5)
    assert losses['loss_odm_bbox'].item() == pytest.approx(0, abs=1e-5)
    (losses['loss_odm_cls'] + losses['loss_odm_bbox']).backward()
    assert outputs[0][0].grad is None
    assert outputs[1][0].grad is None


# --- detections --------------------------------------------------------------------


@pytest.mark.parametrize(
    'limits', [{}, dict(nms_pre=15), dict(max_per_img=20), dict(score_thr=0.3)]
)
def test_detections_equal_the_loops(limits):
    head, outputs = make_head(), random_outputs(7)
    head.test_cfg.update(limits)
    metas = [dict(img_shape=(IMAGE, IMAGE), scale_factor=(2.0, 2.0))] * 2
    results = head.predict_by_feat(*outputs, metas, rescale=True)
    for i, result in enumerate(results):
        expected = slow_detections(outputs, i, head.test_cfg, scale=2)
        assert len(expected) > 10
        scores, labels, boxes = zip(*expected, strict=True)
        assert result.labels.tolist() == list(labels)
        assert_close(result.scores, torch.tensor(scores), rtol=1e-4, atol=1e-5)
        assert_close(result.bboxes, torch.tensor(boxes), rtol=1e-4, atol=1e-3)


def test_anchors_below_theta_are_not_detected():
    arm_cls = [[-5, 0], [0, 0], [-5, 0], [0, 0]]
    head, outputs = four_anchors(arm_cls, [[9, 0]] * 4)
    meta = dict(img_shape=(64, 256))
    (result,) = head.predict_by_feat(*outputs, [meta])
    assert sorted(result.bboxes[:, 0].tolist()) == [64, 192]


def test_picture_without_detections_gives_none():
    head, outputs = four_anchors([[-9, 0]] * 4, [[9, 0]] * 4)
    meta = dict(img_shape=(64, 256), scale_factor=(1.0, 1.0))
    (result,) = head.predict_by_feat(*outputs, [meta], rescale=True)
    assert result.bboxes.shape == (0, 4)
    assert result.scores.shape == result.labels.shape == (0,)


# --- layers ------------------------------------------------------------------------


def test_predictions_have_no_norm_and_start_unbiased():
    head = make_head(with_inter=True)
    head.init_weights()
    for name in ('arm_cls', 'arm_reg', 'odm_cls', 'odm_reg'):
        for layer in getattr(head, name):
            assert layer.bias.abs().max() == 0
            bound = math.sqrt(6 / (9 * (layer.in_channels + layer.out_channels)))
            assert 0.9 * bound < layer.weight.abs().max() <= bound, name
    block = head.odm_inter[0]
    assert block.branch[0].conv.weight.std().item() == pytest.approx(0.01, rel=0.2)


def test_every_source_has_its_own_residual_block():
    head = make_head(with_inter=True, in_channels=(4, 6, 8, 10))
    x = [torch.randn(2, c, s, s) for c, s in zip((4, 6, 8, 10), SIDES, strict=True)]
    x += [torch.randn(2, 4, s, s) for s in SIDES]
    outputs = head(x)
    assert [len(maps) for maps in outputs] == [4, 4, 4, 4]
    assert [maps[0].shape[1] for maps in outputs] == [6, 12, 12, 12]
    sum(level.sum() for maps in outputs for level in maps).backward()
    assert all(p.grad is not None for p in head.parameters())
