"""A project of its own that builds on an installed mmeff, as users do."""

from tinydet.backbone import GhostOSANet
from tinydet.neck import PointwiseNeck

__all__ = ['GhostOSANet', 'PointwiseNeck']
