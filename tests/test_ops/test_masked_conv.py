import torch
import torch.nn.functional as F
from mmcv import ops


def features_and_mask():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 3, 7, 8, generator=generator)
    return features, (torch.rand(1, 7, 8, generator=generator) > 0.6).float()


def layer(padding=1):
    torch.manual_seed(0)
    return ops.MaskedConv2d(3, 5, (3, 3), padding=padding).requires_grad_(False)


def test_masked_conv_equals_the_convolution_at_the_places_of_the_mask():
    features, mask = features_and_mask()
    conv = layer()
    expected = F.conv2d(features, conv.weight, conv.bias, padding=1) * mask
    torch.testing.assert_close(conv(features, mask), expected, rtol=1e-5, atol=1e-6)


def test_masked_conv_of_an_empty_mask_is_zero():
    features, mask = features_and_mask()
    assert not layer()(features, mask * 0).any()


def test_masked_conv_without_mask_is_a_plain_convolution():
    features, _ = features_and_mask()
    conv = layer()
    expected = F.conv2d(features, conv.weight, conv.bias, padding=1)
    assert torch.equal(conv(features), expected)


def test_masked_conv_runs_under_autocast():
    features, mask = features_and_mask()
    conv = layer()
    with torch.autocast('cpu', torch.bfloat16):
        output = conv(features, mask)
    torch.testing.assert_close(output, conv(features, mask), rtol=0.02, atol=0.02)
