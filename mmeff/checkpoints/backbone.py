"""Put published classification weights into a backbone: all of them, or an error."""

from collections.abc import Mapping

from mmengine.logging import print_log
from torch import nn

from mmeff.checkpoints.layouts import find_layout
from mmeff.checkpoints.loading import compare
from mmeff.checkpoints.sources import read_weights
from mmeff.errors import UserError


def load_backbone_weights(
    model: nn.Module,
    checkpoint: str,
    prefix: str | None = None,
    strict: bool = True,
    map_location: str = 'cpu',
) -> str:
    """Load a file in any known layout into a backbone and say what matched.

    Args:
        model: A backbone of mmeff, with or without its classifier.
        checkpoint: Path (.pth or .safetensors), URL, ``timm://NAME`` or
            ``torchvision://NAME``; the last two need those libraries and a network.
        prefix: Take only the keys that begin with it, such as 'backbone.'.
        strict: Raise unless every tensor of the model is in the file, in its shape.
            Otherwise those that fit are taken and the rest keeps its values.
        map_location: As in `torch.load`.

    Returns:
        The summary that was logged, such as 'loaded 318 of 318 tensors ...'.

    Raises:
        UserError: Unreadable file, unknown layout, or tensors missing while `strict`.
    """
    state = read_weights(checkpoint, map_location)
    if prefix is not None:
        state = _below(state, prefix, checkpoint)
    layout = find_layout(type(model).__name__, state, checkpoint)
    state = layout.convert(state, model)
    fitting, missing, other = compare(state, model)
    used = set(model.state_dict())
    unused = [key for key in state if key not in used]
    total = len(fitting) + len(missing) + len(other)
    summary = (
        f'loaded {len(fitting)}/{total} tensors of {type(model).__name__} from '
        f'{checkpoint} ({layout.name} layout)'
    )
    if strict and (missing or other):
        raise UserError(_misfit(summary, missing, other, model))
    for title, keys in (
        ('kept as they were', missing + other),
        ('of the file not used', unused),
    ):
        summary += f'; {len(keys)} {title}: {_some(keys)}' if keys else ''
    model.load_state_dict({key: state[key] for key in fitting}, strict=False)
    print_log(summary, logger='current')
    return summary


def _below(state: Mapping, prefix: str, name: str) -> dict:
    prefix = prefix if prefix.endswith('.') else f'{prefix}.'
    chosen = {
        key.removeprefix(prefix): value
        for key, value in state.items()
        if key.startswith(prefix)
    }
    if not chosen:
        found = sorted({key.split('.')[0] for key in state})
        raise UserError(
            f'{name} has no tensor below prefix={prefix!r}; its keys begin with '
            f'{_some(found)}'
        )
    return chosen


def _misfit(summary: str, missing: list, other: list, model: nn.Module) -> str:
    lines = [summary.replace('loaded', 'only', 1).replace(' from ', ' fit ', 1)]
    if missing:
        lines.append(f'{len(missing)} missing: {_some(missing)}')
    if other:
        lines.append(f'{len(other)} of another shape: {_some(other)}')
    lines.append(
        'build the same variant and form as the file, or say strict=False in init_cfg '
        'to take what fits'
    )
    return '; '.join(lines)


def _some(names: list[str]) -> str:
    return ', '.join(names[:3]) + (', ...' if len(names) > 3 else '')
