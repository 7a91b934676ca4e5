"""Gradients of every differentiable op against finite differences, in float64."""

import pytest
import torch

from op_cases import CASES


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_backward_equals_finite_differences(case):
    tensors = case.tensors()
    leaves = [tensors[name].requires_grad_() for name in case.leaves]

    def call(*values):
        return case.call({**tensors, **dict(zip(case.leaves, values, strict=True))})

    assert torch.autograd.gradcheck(call, leaves, atol=1e-6)


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_channels_last_and_strided_inputs_change_nothing(case):
    tensors = case.tensors()
    strided = {
        name: tensor.transpose(0, -1).contiguous().transpose(0, -1)
        for name, tensor in tensors.items()
    }
    for found, expected in zip(case.run(strided), case.run(tensors), strict=True):
        torch.testing.assert_close(found, expected)
