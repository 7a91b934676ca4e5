"""Networks and their parts, registered under the scope `mmeff`."""

from mmeff.models import backbones, dense_heads, detectors, necks, task_modules
from mmeff.models.backbones import *  # noqa: F403
from mmeff.models.dense_heads import *  # noqa: F403
from mmeff.models.detectors import *  # noqa: F403
from mmeff.models.necks import *  # noqa: F403
from mmeff.models.task_modules import *  # noqa: F403

__all__ = [
    *backbones.__all__,
    *dense_heads.__all__,
    *detectors.__all__,
    *necks.__all__,
    *task_modules.__all__,
]
