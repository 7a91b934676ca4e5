"""Published weights in, a file in mmeff's own layout out."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.errors import UserError
from mmeff.models import backbones
from mmeff.models.backbones.base import Backbone
from mmeff.whole_file import whole_file


def convert_backbone(
    family: str, checkpoint: str, out: str, options: dict, prefix: str | None = None
) -> str:
    """Load weights in any known layout into a backbone and save them as its own.

    Args:
        family: Name of a backbone class, such as 'GhostNet'.
        checkpoint: Path, URL, ``timm://NAME`` or ``torchvision://NAME``.
        out: Path to write, ending in .pth or .safetensors.
        options: Arguments of the class. All its stages are built; with `num_classes`
            the classifier is kept.
        prefix: Take only the keys of the checkpoint that begin with it.

    Returns:
        What was written; what was loaded is logged.

    Raises:
        UserError: Unknown family, wrong options, weights that do not fit, or an
            unknown file type.
    """
    if Path(out).suffix not in ('.pth', '.safetensors'):
        raise UserError(f'{out}: expected a name that ends in .pth or .safetensors')
    model = _build(family, options)
    load_backbone_weights(model, checkpoint, prefix)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    with whole_file(out) as unfinished:
        if unfinished.suffix == '.pth':
            torch.save(state, unfinished)
        else:
            save_file(state, unfinished, metadata={'format': 'pt'})
    return f'wrote {len(state)} tensors to {out}'


def _build(family: str, options: dict) -> Backbone:
    known = [
        name
        for name in backbones.__all__
        if issubclass(getattr(backbones, name), Backbone)
    ]
    if family not in known:
        raise UserError(f'no backbone {family!r}: expected one of {", ".join(known)}')
    make = getattr(backbones, family)
    try:
        with torch.device('meta'):
            stages = range(len(make(**options).stage_channels))
        return make(**{'out_indices': stages, **options})
    except (TypeError, ValueError) as error:
        raise UserError(f'{family}: {error}') from error
