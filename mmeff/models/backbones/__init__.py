"""Backbones, one family a file."""

from mmeff.models.backbones.vovnet import VoVNet

__all__ = ['VoVNet']
