"""Detectors that mmdet does not have."""

from mmeff.models.detectors.refinedet import RefineDet

__all__ = ['RefineDet']
