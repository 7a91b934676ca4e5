"""Code between the networks of a detector, where it can be faster with equal results."""

from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from torch import nn

from mmeff.deploy.postprocess.boxes import speed_up_coder
from mmeff.deploy.postprocess.dense import speed_up_dense
from mmeff.deploy.postprocess.rois import speed_up_rois
from mmeff.deploy.postprocess.suppression import speed_up_suppression


def speed_up(model: nn.Module) -> None:
    """Replace what is slow between the networks of this one detector.

    What is not known to give equal detections stays as it is.
    """
    if isinstance(model, TwoStageDetector):
        speed_up_rois(model)
    elif isinstance(model, SingleStageDetector):
        speed_up_dense(model.bbox_head)
        speed_up_suppression(model.bbox_head)
        speed_up_coder(model.bbox_head)
