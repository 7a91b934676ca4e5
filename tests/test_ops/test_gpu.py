"""On CUDA every op gives what it gives on the CPU, forward and backward."""

import pytest
import torch
from mmcv import ops

from op_cases import CASES, random_boxes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device'),
]


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_cuda_equals_cpu(case, dtype):
    expected = case.run(case.tensors(dtype))
    found = case.run(case.tensors(dtype, 'cuda'))
    for mine, other in zip(found, expected, strict=True):
        assert mine.is_cuda
        torch.testing.assert_close(mine.cpu(), other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_reduced_precision_on_cuda_equals_the_cpu(case, dtype):
    expected = case.run(case.tensors(dtype))
    found = case.run(case.tensors(dtype, 'cuda'))
    for mine, other in zip(found, expected, strict=True):
        assert mine.dtype == dtype
        scale = float(other.float().abs().max())
        torch.testing.assert_close(
            mine.cpu().float(), other.float(), rtol=0.02, atol=0.02 * scale
        )


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_ops_run_under_cuda_autocast(case, dtype):
    tensors = case.tensors(torch.float32, 'cuda')
    plain = case.run(tensors)
    with torch.autocast('cuda', dtype):
        mixed = case.run(tensors)
    for found, expected in zip(mixed, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def cpu_and_cuda(call, *tensors):
    return call(*tensors), call(*(tensor.cuda() for tensor in tensors))


@pytest.mark.parametrize('num', [0, 1, 300])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('iou_threshold', [0.1, 0.5, 0.7])
def test_nms_on_cuda_keeps_the_same_boxes(num, offset, iou_threshold):
    boxes, scores = random_boxes(num, 200.0, torch.Generator().manual_seed(0))
    (_, expected), (dets, keep) = cpu_and_cuda(
        lambda b, s: ops.nms(b, s, iou_threshold, offset=offset), boxes, scores
    )
    assert dets.is_cuda
    assert torch.equal(keep.cpu(), expected)


@pytest.mark.parametrize('nms_type', ['nms', 'soft_nms'])
def test_batched_nms_on_cuda_keeps_the_same_boxes(nms_type):
    boxes, scores = random_boxes(300, 200.0, torch.Generator().manual_seed(0))
    nms_cfg = {'type': nms_type, 'iou_threshold': 0.5}
    (expected_dets, expected), (dets, keep) = cpu_and_cuda(
        lambda b, s, c: ops.batched_nms(b, s, c, nms_cfg),
        boxes,
        scores + 0.01,
        torch.arange(300) % 4,
    )
    assert torch.equal(keep.cpu(), expected)
    torch.testing.assert_close(dets.cpu(), expected_dets)


def test_nms_match_on_cuda_gives_the_same_groups():
    boxes, scores = random_boxes(100, 200.0, torch.Generator().manual_seed(0))
    dets = torch.cat((boxes, scores[:, None]), dim=1)
    expected, found = cpu_and_cuda(lambda d: ops.nms_match(d, 0.5), dets)
    assert [group.tolist() for group in found] == [g.tolist() for g in expected]


def test_bbox_overlaps_on_cuda_equal_the_cpu():
    boxes, _ = random_boxes(50, 200.0, torch.Generator().manual_seed(0))
    expected, found = cpu_and_cuda(lambda b: ops.bbox_overlaps(b, b, offset=1), boxes)
    torch.testing.assert_close(found.cpu(), expected)


def test_carafe_naive_on_cuda_equals_carafe():
    case = next(case for case in CASES if case.name == 'carafe')
    tensors = case.tensors(torch.float32, 'cuda')
    leaves = [tensors[name].requires_grad_() for name in case.leaves]
    results = []
    for upsample in (ops.carafe, ops.carafe_naive):
        output = upsample(*leaves, 3, 2, 2)
        results.append([output, *torch.autograd.grad(output.square().sum(), leaves)])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other)


def test_masked_conv_on_cuda_equals_the_cpu():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 3, 7, 8, generator=generator)
    mask = (torch.rand(1, 7, 8, generator=generator) > 0.6).float()
    layer = ops.MaskedConv2d(3, 5, 3, padding=1).requires_grad_(False)
    expected = layer(features, mask)
    found = layer.cuda()(features.cuda(), mask.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)


def test_attention_module_takes_the_served_op_on_cuda():
    torch.manual_seed(0)
    layer = ops.MultiScaleDeformableAttention(
        embed_dims=16, num_heads=2, num_levels=2, num_points=2, dropout=0.0
    )
    tensors = {
        'query': torch.randn(5, 2, 16),
        'value': torch.randn(26, 2, 16),
        'reference_points': torch.rand(2, 5, 2, 2),
        'spatial_shapes': torch.tensor([[4, 5], [2, 3]]),
        'level_start_index': torch.tensor([0, 20]),
    }
    expected = layer(**tensors)
    found = layer.cuda()(**{k: v.cuda() for k, v in tensors.items()})
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)


def test_sync_bn_of_one_process_on_cuda_equals_batch_norm():
    import torch.distributed as dist

    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    try:
        synced, plain = ops.SyncBatchNorm(3).cuda(), torch.nn.BatchNorm2d(3).cuda()
        synced.load_state_dict(plain.state_dict())
        x = torch.randn(4, 3, 5, 6, device='cuda')
        outputs = synced(x), plain(x)
    finally:
        dist.destroy_process_group()
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(synced.running_var, plain.running_var)
