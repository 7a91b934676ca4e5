import pytest
import torch
import torchvision
from mmcv import ops


def logits_and_target(num_classes=4):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20, num_classes, generator=generator)
    return logits, torch.randint(num_classes + 1, (20,), generator=generator)


@pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
def test_sigmoid_focal_loss_and_gradient_equal_torchvision(gamma, alpha):
    logits, target = logits_and_target()
    one_hot = torch.nn.functional.one_hot(target, 5)[:, :4].float()
    leaf, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = ops.SigmoidFocalLoss(gamma, alpha, reduction='none')(leaf, target)
    expected = torchvision.ops.sigmoid_focal_loss(other, one_hot, alpha, gamma)
    torch.testing.assert_close(loss, expected)
    grad, expected_grad = (
        torch.autograd.grad(value.sum(), x)[0]
        for value, x in ((loss, leaf), (expected, other))
    )
    torch.testing.assert_close(grad, expected_grad)


def test_sigmoid_focal_loss_equals_the_python_loss_of_mmdet():
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    logits, target = logits_and_target()
    one_hot = torch.nn.functional.one_hot(target, 5)[:, :4]
    expected = py_sigmoid_focal_loss(logits, one_hot, reduction='sum')
    loss = ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, None, 'sum')
    torch.testing.assert_close(loss, expected)


def test_sigmoid_focal_loss_of_extreme_logits_is_finite():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = ops.sigmoid_focal_loss(logits, torch.tensor([1]), 2.0, 0.25, None, 'none')
    grad = torch.autograd.grad(loss.sum(), logits)[0]
    torch.testing.assert_close(loss.detach(), torch.tensor([[150.0, 50.0]]))
    torch.testing.assert_close(grad, torch.tensor([[0.75, -0.25]]))


def test_class_weights_scale_the_rows_of_their_class_and_not_the_background():
    logits, target = logits_and_target()
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    plain = ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, None, 'none')
    weighted = ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, weight, 'none')
    factors = torch.cat((weight, torch.ones(1)))[target][:, None]
    torch.testing.assert_close(weighted, plain * factors)


def softmax_focal(logits, target, weight, gamma, alpha):
    """The definition, differentiable by autograd."""
    p = logits.softmax(1).gather(1, target[:, None])[:, 0]
    return -alpha * weight[target] * (1 - p) ** gamma * p.log()


@pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (0.5, 0.5)])
def test_softmax_focal_loss_and_gradient_follow_the_definition(gamma, alpha):
    logits, target = logits_and_target()
    target, weight = target.clamp(max=3), torch.tensor([1.0, 2.0, 3.0, 4.0])
    leaf, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = ops.softmax_focal_loss(leaf, target, gamma, alpha, weight, 'mean')
    expected = softmax_focal(other, target, weight, gamma, alpha).mean()
    torch.testing.assert_close(loss, expected)
    grad, expected_grad = (
        torch.autograd.grad(value, x)[0]
        for value, x in ((loss, leaf), (expected, other))
    )
    torch.testing.assert_close(grad, expected_grad)


def test_softmax_focal_loss_ignores_samples_without_a_class():
    logits = torch.randn(2, 3, requires_grad=True)
    target = torch.tensor([1, -1])
    losses = ops.softmax_focal_loss(logits, target, 2.0, 0.25, None, 'none')
    total = ops.softmax_focal_loss(logits, target, 2.0, 0.25, None, 'sum')
    grad = torch.autograd.grad(total, logits)[0]
    assert losses[0] > 0
    assert losses[1] == 0
    assert grad[0].any()
    assert not grad[1].any()


def test_softmax_focal_loss_of_a_certain_sample_has_a_finite_gradient():
    logits = torch.tensor([[300.0, 0.0]], requires_grad=True)
    loss = ops.softmax_focal_loss(logits, torch.tensor([0]), 0.5, 0.25, None, 'sum')
    assert torch.equal(torch.autograd.grad(loss, logits)[0], torch.zeros(1, 2))
