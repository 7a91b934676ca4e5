"""Build a detector from a config, with or without trained weights."""

import copy
import logging
import warnings
from pathlib import Path

import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from torch import nn

from mmeff.checkpoints.loading import load_detector_weights
from mmeff.errors import UserError


def build_detector(
    cfg: Config, checkpoint: str | Path | None = None, device: str | None = None
) -> nn.Module:
    """A detector in eval mode, as mmdet's `init_detector` gives it.

    Needs neither a dataset nor a network: without a checkpoint the weights are random
    (from the model's own initialisers, seeded) and the class names come from the config.

    Args:
        cfg: Config of the detector; kept as `model.cfg`.
        checkpoint: Path or URL of its weights; must fit the model entirely.
        device: For example 'cpu' or 'cuda:0'; by default a GPU when there is one.

    Returns:
        The detector, with `cfg` and `dataset_meta` set.

    Raises:
        UserError: The config does not describe a model, or the weights do not fit.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model_cfg = _without_pretrained(copy.deepcopy(cfg.get('model')))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = revert_sync_batchnorm(build_from(MODELS, model_cfg, 'model'))
        if checkpoint is None:
            _init_weights(model)
    meta = {} if checkpoint is None else load_detector_weights(model, str(checkpoint))
    saved = {k.lower(): v for k, v in meta.get('dataset_meta', {}).items()}
    model.dataset_meta = {**_config_meta(cfg), **saved}
    model.cfg = cfg
    return model.to(torch.device(device or get_device())).eval()


def _without_pretrained(node):
    """The config without `init_cfg`s that read weights from elsewhere.

    The checkpoint brings all weights; and without one they are to be random, not
    fetched from a network.
    """
    if isinstance(node, list):
        return [_without_pretrained(value) for value in node]
    if not isinstance(node, dict):
        return node
    init_cfg = node.get('init_cfg')
    if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
        node.pop('init_cfg')
    for key, value in node.items():
        node[key] = _without_pretrained(value)
    return node


def _init_weights(model: nn.Module) -> None:
    """Initialise without mmengine's log line for every parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        model.init_weights()
    finally:
        logger.setLevel(level)


def build_from(registry, cfg: dict | None, what: str):
    """Build from a registry; errors of the config become messages.

    Raises:
        UserError: The part of the config is missing or its arguments are wrong.
    """
    if cfg is None:
        raise UserError(f'the config has no `{what}`')
    try:
        return registry.build(cfg)
    except (KeyError, TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UserError(f'`{what}` of the config cannot be built: {error}') from error


def _config_meta(cfg: Config) -> dict:
    """Class names and colours of the test set, without reading its annotations."""
    dataset = cfg.get('test_dataloader', {}).get('dataset')
    if dataset is None:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return dict(
            build_from(DATASETS, {**dataset, 'lazy_init': True}, 'dataset').metainfo
        )
