"""Necks: from the maps of a backbone to those that a head predicts from."""

from mmeff.models.necks.dsod import DensePrediction
from mmeff.models.necks.pelee import PeleeNeck
from mmeff.models.necks.transfer_connection import TransferConnection

__all__ = ['DensePrediction', 'PeleeNeck', 'TransferConnection']
