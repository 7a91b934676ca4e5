"""Where weights come from: files, URLs, and the model libraries' own downloads."""

import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmeff.checkpoints.loading import split_checkpoint
from mmeff.errors import UserError


def read_weights(checkpoint: str, map_location: str = 'cpu') -> dict[str, torch.Tensor]:
    """State dict of a checkpoint, without the wrappers that training scripts add.

    Args:
        checkpoint: Path, URL, ``timm://NAME`` or ``torchvision://NAME``.
        map_location: As in `torch.load`.

    Raises:
        UserError: There is no such file or name, it cannot be read, or no network.
    """
    scheme, _, name = str(checkpoint).partition('://')
    if scheme in ('timm', 'torchvision') and name:
        return _from_timm(name) if scheme == 'timm' else _from_torchvision(name)
    try:
        content = CheckpointLoader.load_checkpoint(
            str(checkpoint), map_location, logger='silent'
        )
    except (FileNotFoundError, ImportError) as error:
        raise UserError(str(error)) from error
    # What the authors' training scripts call the weights.
    for key in ('state_dict', 'model', 'model_state'):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return split_checkpoint(content, str(checkpoint))[0]


def _from_timm(name: str) -> dict[str, torch.Tensor]:
    try:
        import timm
    except ImportError as error:
        raise UserError(f'timm://{name} needs timm: pip install timm') from error
    if not timm.is_model(name):
        near = ', '.join(timm.list_models(f'{name.split("_")[0]}*')[:8]) or 'none'
        raise UserError(f'timm has no model {name!r}; of that family: {near}')
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        raise UserError(_no_download(f'timm://{name}', error)) from error


def _from_torchvision(name: str) -> dict[str, torch.Tensor]:
    from torchvision import models

    if name not in models.list_models():
        near = ', '.join(models.list_models(include=f'{name.split("_")[0]}*')[:8])
        raise UserError(f'torchvision has no model {name!r}; of that family: {near}')
    try:
        return models.get_model(name, weights='DEFAULT').state_dict()
    except (OSError, RuntimeError) as error:
        raise UserError(_no_download(f'torchvision://{name}', error)) from error


def _no_download(what: str, error: Exception) -> str:
    reason = str(error).strip().split('\n')[0][:200]
    return (
        f'{what} could not be downloaded ({reason}); fetch the file where there is a '
        'network and give its path'
    )
