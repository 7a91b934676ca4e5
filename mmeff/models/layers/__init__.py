"""Blocks that two families or more share, nothing else."""

from mmeff.models.layers.bottleneck import ProjectionBottleneck
from mmeff.models.layers.conv import Block, conv_norm_act, norm_act_conv
from mmeff.models.layers.ghost_module import GhostModule, ghost_conv
from mmeff.models.layers.head import linear_head
from mmeff.models.layers.inverted_residual import InvertedResidual
from mmeff.models.layers.l2_norm import L2Norm
from mmeff.models.layers.squeeze_excite import SqueezeExcite

__all__ = [
    'Block',
    'GhostModule',
    'InvertedResidual',
    'L2Norm',
    'ProjectionBottleneck',
    'SqueezeExcite',
    'conv_norm_act',
    'ghost_conv',
    'linear_head',
    'norm_act_conv',
]
