"""Networks and their parts, registered under the scope `mmeff`."""

from mmeff.models.backbones import *  # noqa: F403
from mmeff.models.backbones import __all__ as __all__
