"""Focal loss (Lin et al., 2017, sec. 3) on sigmoids and on a softmax.

Shapes: input (N, C); target (N,) class indices, anything outside 0..C-1 is background;
weight (C,) factor of each class, or empty. gamma and alpha as in the paper.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmeff.ops.precision import widen


def _class_factors(weight: Tensor, target: Tensor) -> Tensor | float:
    """(N, 1) class weights of the samples; background samples count once."""
    if not weight.numel():
        return 1.0
    factors = weight[target.clamp(0, len(weight) - 1)]
    known = (target >= 0) & (target < len(weight))
    return factors.where(known, torch.ones_like(factors))[:, None]


def _is_target(input: Tensor, target: Tensor) -> Tensor:
    """(N, C) true where the column is the sample's class."""
    return target[:, None] == torch.arange(input.size(1), device=input.device)


def sigmoid_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the loss of each logit into `output` (N, C)."""
    logits, weight = widen(input, weight)
    p = logits.sigmoid()
    positive = -alpha * (1 - p) ** gamma * F.logsigmoid(logits)
    negative = (alpha - 1) * p**gamma * F.logsigmoid(-logits)
    loss = torch.where(_is_target(input, target), positive, negative)
    output.copy_(loss * _class_factors(weight, target))


def sigmoid_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write d loss / d logit of each logit into `grad_input` (N, C)."""
    logits, weight = widen(input, weight)
    p, q = logits.sigmoid(), (-logits).sigmoid()
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive = alpha * q**gamma * (gamma * p * log_p - q)
    negative = (alpha - 1) * p**gamma * (gamma * q * log_q - p)
    grad = torch.where(_is_target(input, target), positive, negative)
    grad_input.copy_(grad * _class_factors(weight, target))


def _target_probability(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 1) softmax value of the sample's class, and whether it has a class."""
    known = (target >= 0) & (target < input.size(1))
    p = input.gather(1, target.clamp(0, input.size(1) - 1)[:, None])
    return p, known[:, None]


def softmax_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the loss of each sample into `output` (N,); `input` is a softmax.

    Background samples have no loss.
    """
    probabilities, weight = widen(input, weight)
    p, known = _target_probability(probabilities, target)
    log_p = p.clamp(min=torch.finfo(p.dtype).tiny).log()
    loss = -alpha * (1 - p) ** gamma * log_p * _class_factors(weight, target)
    output.copy_(loss.masked_fill(~known, 0)[:, 0])


def softmax_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write d loss / d logit into `grad_input` (N, C); `input` is a softmax.

    Args:
        buff: Output (N,): d loss / d log p of the sample's class.
    """
    probabilities, weight = widen(input, weight)
    p, known = _target_probability(probabilities, target)
    tiny = torch.finfo(p.dtype).tiny
    # clamped: with gamma < 1 and p = 1 the second term would be inf * 0
    q = (1 - p).clamp(min=tiny)
    slope = gamma * q ** (gamma - 1) * p * p.clamp(min=tiny).log() - q**gamma
    factor = (alpha * slope * _class_factors(weight, target)).masked_fill(~known, 0)
    buff.copy_(factor[:, 0])
    grad_input.copy_(factor * (_is_target(input, target).to(p) - probabilities))
