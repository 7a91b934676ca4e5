"""Ops inside torch.compile; no code is generated, so it is the tracing that is tested."""

import pytest
import torch
from mmcv import ops

from op_cases import CASES, random_boxes


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def call_nms(boxes, scores):
    return ops.nms(boxes, scores, 0.5, score_threshold=0.2, max_num=10)


@pytest.mark.parametrize('backend', ['eager', 'aot_eager'])
def test_nms_compiles_into_one_graph(backend):
    boxes, scores = random_boxes(40, 100.0, torch.Generator().manual_seed(0))
    compiled = torch.compile(call_nms, backend=backend, fullgraph=True)
    for found, expected in zip(
        compiled(boxes, scores), call_nms(boxes, scores), strict=True
    ):
        assert torch.equal(found, expected)


@pytest.mark.parametrize('op', [ops.soft_nms, ops.batched_nms])
def test_ops_with_python_loops_compile_with_graph_breaks(op):
    boxes, scores = random_boxes(20, 100.0, torch.Generator().manual_seed(0))
    classes = torch.arange(20) % 3
    nms_cfg = {'type': 'nms', 'iou_threshold': 0.5}
    args = (classes, nms_cfg) if op is ops.batched_nms else (0.3,)
    expected = op(boxes, scores, *args)
    compiled = torch.compile(lambda b, s: op(b, s, *args), backend='eager')
    for found, wanted in zip(compiled(boxes, scores), expected, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_ops_and_their_gradients_compile(case):
    tensors = case.tensors(torch.float32)
    expected = case.run(tensors)
    leaves = [tensors[name].requires_grad_() for name in case.leaves]
    output = torch.compile(case.call, backend='aot_eager')(tensors)
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    found = [output, *torch.autograd.grad(output, leaves, weights)]
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other)
