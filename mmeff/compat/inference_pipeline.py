"""`inference_detector` with an array changes the model's config for good.

Why: it rewrites the first step of the test pipeline in a shallow copy, so that a later
call with a path fails with `KeyError: 'img'`.
Upstream: `mmdet/apis/inference.py` of mmdet 3.3.0; no thread found.
Delete when: an array call followed by a path call works with stock mmdet.
"""

import copy


def apply(module) -> None:
    original = module.get_test_pipeline_cfg
    module.get_test_pipeline_cfg = lambda cfg: copy.deepcopy(original(cfg))
