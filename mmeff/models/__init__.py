"""Networks and their parts, registered under the scope `mmeff`."""

from mmeff.models.backbones import VoVNet

__all__ = ['VoVNet']
