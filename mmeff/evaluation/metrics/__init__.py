"""The metrics that configs name."""

from mmeff.evaluation.metrics.coco_metric import CocoMetric
from mmeff.evaluation.metrics.voc_metric import VOCMetric

__all__ = ['CocoMetric', 'VOCMetric']
