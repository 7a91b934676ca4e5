"""RefineDet, https://arxiv.org/abs/1711.06897."""

from mmdet.models.detectors import SingleStageDetector

from mmeff.registry import MODELS


@MODELS.register_module()
class RefineDet(SingleStageDetector):
    """Single-stage detector that regresses boxes twice.

    The backbone's maps go through a `TransferConnection` to a `RefineDetHead`, which has
    both steps. Image sides must be multiples of 64 after the data preprocessor.
    """
