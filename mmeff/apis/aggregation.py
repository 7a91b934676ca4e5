"""Draw what the concatenations of a trained VoVNet or DenseNet are used for."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.checkpoints.detector import build_from
from mmeff.checkpoints.safe import file_sha256
from mmeff.checkpoints.sources import read_weights
from mmeff.config import load_config
from mmeff.guidelines.aggregation import (
    AggregationMap,
    aggregation_maps,
    check_supported,
)
from mmeff.guidelines.figures import check_picture_name, draw_aggregation, save_figure
from mmeff.guidelines.files import write_json


def draw_aggregation_maps(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    out: str | Path = 'aggregation.png',
    cfg_options: Mapping | None = None,
) -> dict:
    """Write a heat map of aggregation weights, and its numbers as JSON beside it.

    Args:
        config: Config of a detector whose backbone is a VoVNet or a DenseNet: a file,
            the name of one of mmeff's, or a config.
        checkpoint: Of the detector, or weights of the backbone alone in any layout that
            mmeff reads. Without it the weights are random and the picture shows what
            the initialisation does.
        out: Picture to write; its suffix says which kind.
        cfg_options: Settings of the config to override.

    Returns:
        The result as in the file; the paths under 'file' and 'picture'.

    Raises:
        UserError: Another backbone, weights that do not fit, or an unknown suffix.
    """
    check_picture_name(out)
    cfg = load_config(config, cfg_options)
    backbone = _build_backbone(cfg)
    check_supported(backbone)
    if checkpoint is not None:
        _load(backbone, str(checkpoint))
    maps = aggregation_maps(backbone)
    name = Path(cfg.filename or 'config').stem
    weights = 'random weights' if checkpoint is None else Path(checkpoint).name
    result = {
        'config': name,
        'checkpoint': None if checkpoint is None else str(checkpoint),
        'checkpoint_sha256': file_sha256(checkpoint),
        'maps': [_plain(panel) for panel in maps],
    }
    file = Path(out).with_suffix('.json')
    write_json(result, file)
    save_figure(draw_aggregation(maps, f'{name}\n{weights}'), out)
    return {**result, 'file': str(file), 'picture': str(out)}


def _build_backbone(cfg: Config) -> nn.Module:
    """The backbone with random weights, whatever the config says of pretrained ones."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    backbone = cfg.get('model', {}).get('backbone')
    if backbone is not None:
        backbone = {key: value for key, value in backbone.items() if key != 'init_cfg'}
    return build_from(MODELS, backbone, 'model.backbone')


def _load(backbone: nn.Module, checkpoint: str) -> None:
    """Fill a backbone from a detector's checkpoint or from its own weights."""
    of_detector = any(key.startswith('backbone.') for key in read_weights(checkpoint))
    load_backbone_weights(backbone, checkpoint, 'backbone.' if of_detector else None)


def _plain(panel: AggregationMap) -> dict:
    """Values as lists, None where a target does not read a source."""
    values = np.where(np.isnan(panel.values), None, panel.values)
    return {
        'title': panel.title,
        'sources': panel.sources,
        'targets': panel.targets,
        'mean_abs_weight': values.tolist(),
    }
