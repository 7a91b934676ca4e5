"""Prior boxes and their matching with objects."""

from mmeff.models.task_modules.bipartite_assigner import BipartiteIoUAssigner
from mmeff.models.task_modules.prior_boxes import (
    PriorBoxGenerator,
    SSDLitePriorGenerator,
)

__all__ = ['BipartiteIoUAssigner', 'PriorBoxGenerator', 'SSDLitePriorGenerator']
