"""Put the weights of a trained detector into a model, all of them or none."""

from collections.abc import Mapping

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from mmeff.checkpoints.safe import without_code
from mmeff.errors import UserError


def load_detector_weights(model: nn.Module, checkpoint: str) -> dict:
    """Load a whole detector and return the checkpoint's `meta`.

    Args:
        model: The detector to fill.
        checkpoint: Path or URL of a checkpoint of mmengine, or of a plain state dict.

    Raises:
        UserError: No such file, cut off, not plain weights, or of another model.
    """
    try:
        content = CheckpointLoader.load_checkpoint(checkpoint, 'cpu', logger='silent')
    except (FileNotFoundError, ImportError) as error:
        raise UserError(str(error)) from error
    state, meta = split_checkpoint(content, checkpoint)
    check_fit(state, model, checkpoint)
    model.load_state_dict(state, strict=False)
    return meta


def split_checkpoint(content, name: str) -> tuple[dict, dict]:
    """State dict and meta of what was read from a file called `name`.

    Raises:
        UserError: The content is no dictionary of tensors, or what it says of the data is
            none.
    """
    content = without_code(content, name)
    state = content.get('state_dict', content)
    state = {key.removeprefix('module.'): value for key, value in state.items()}
    meta = content.get('meta', {}) if 'state_dict' in content else {}
    if not isinstance(meta.get('dataset_meta', {}), Mapping):
        raise UserError(
            f"checkpoint {name}: its 'dataset_meta' is no dictionary; expected classes "
            'and palette'
        )
    return state, meta


def check_fit(state: Mapping, model: nn.Module, name: str) -> None:
    """Check that a state dict has every tensor of a model, in its shape.

    Raises:
        UserError: Some are missing or differ; the message counts and names them.
    """
    fitting, missing, other = compare(state, model)
    if not missing and not other:
        return
    total = len(fitting) + len(missing) + len(other)
    lines = [f'checkpoint {name} fits {len(fitting)} of {total} tensors of this model']
    if missing:
        lines.append(f'{len(missing)} missing, first {missing[0]}')
    if other:
        lines.append(f'{len(other)} of another shape, first {other[0]}')
    lines.append(
        'it was saved from another config or with other classes: use the config that '
        'lies beside the checkpoint in its work dir'
    )
    raise UserError('; '.join(lines))


def compare(state: Mapping, model: nn.Module) -> tuple[list[str], list[str], list[str]]:
    """Names of a model's tensors that a state dict has, has not, has in another shape.

    Counts of batches that a BatchNorm has seen enter no output, and some exporters drop
    them: they are left out.
    """
    fitting, missing, other = [], [], []
    for key, value in model.state_dict().items():
        if key.endswith('num_batches_tracked'):
            continue
        if not isinstance(state.get(key), Tensor):
            missing.append(key)
        elif state[key].shape != value.shape:
            found, expected = tuple(state[key].shape), tuple(value.shape)
            other.append(f'{key} {found} instead of {expected}')
        else:
            fitting.append(key)
    return fitting, missing, other
