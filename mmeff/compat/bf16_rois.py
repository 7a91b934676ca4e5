"""RoIs are rounded to bfloat16 under mixed precision.

Why: the extractor casts boxes to the type of the features. bfloat16 has 8 bits, so
x = 1001.3 becomes 1000 and pooled features are off by a third.
Upstream: `SingleRoIExtractor.forward` of mmdet 3.3.0; no thread found.
Delete when: the extractor keeps RoIs in float32.
"""

import functools


def apply(module) -> None:
    import torch

    extractor = module.SingleRoIExtractor
    original = extractor.forward

    @functools.wraps(original)
    def forward(self, feats, rois, roi_scale_factor=None):
        dtype = feats[0].dtype
        if dtype == torch.bfloat16:
            # The pooling kernels compute in float32 in any case.
            feats = [feat.float() for feat in feats]
        return original(self, feats, rois.float(), roi_scale_factor).to(dtype)

    extractor.forward = forward
