"""Heads: from maps to losses and detections."""

from mmeff.models.dense_heads.refinedet_head import RefineDetHead
from mmeff.models.dense_heads.ssd_head import SSDHead

__all__ = ['RefineDetHead', 'SSDHead']
