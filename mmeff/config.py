"""Find and read configs, with messages instead of tracebacks."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from mmengine.config import Config
from mmengine.fileio.handlers import yaml_handler

from mmeff.errors import UserError

CONFIGS = Path(__file__).parent / '.mim' / 'configs'


def config_path(name: str) -> str:
    """Absolute path of a config that travels with mmeff.

    Args:
        name: Path below `configs/`; `.py` may be left out.

    Raises:
        UserError: No such config; the message lists those that exist.
    """
    path = CONFIGS / name
    for candidate in (path, path.with_name(f'{path.name}.py')):
        if candidate.is_file():
            return str(candidate)
    names = sorted(
        str(found.relative_to(CONFIGS))
        for found in CONFIGS.glob('**/*.py')
        if '_base_' not in found.parts
    )
    close = difflib.get_close_matches(name, names, 1)
    hint = f' Did you mean {close[0]}?' if close else ''
    raise UserError(f'config {name}: no such file.{hint} mmeff has: {", ".join(names)}')


def load_config(
    config: str | Path | Config,
    cfg_options: Mapping | None = None,
    preset: str | None = None,
) -> Config:
    """Read a config: a file of yours, or one of mmeff's by name.

    Args:
        config: Path of a config file, its name below mmeff's `configs/`, or a config.
        cfg_options: Settings to override, with dotted keys.
        preset: Name of a file in `configs/_base_/presets`, merged before `cfg_options`.

    Raises:
        UserError: The file does not exist or cannot be read as a config.
    """
    if isinstance(config, Config):
        cfg = config
    else:
        path = str(config) if Path(config).is_file() else config_path(str(config))
        cfg = _read(path)
    if preset is not None:
        fragment = _read(config_path(f'_base_/presets/{preset}'))
        cfg.merge_from_dict(fragment.to_dict())
    if cfg_options:
        try:
            cfg.merge_from_dict(dict(cfg_options))
        except (KeyError, TypeError, AssertionError) as error:
            raise UserError(f'--cfg-options do not fit the config: {error}') from error
    return cfg


def _read(path: str) -> Config:
    try:
        with _plain_yaml():
            return Config.fromfile(path)
    except UserError:
        raise
    except Exception as error:  # a config is code: anything may go wrong in it
        raise UserError(
            f'config {path} cannot be read: {type(error).__name__}: {error}'
        ) from error


@contextmanager
def _plain_yaml() -> Iterator[None]:
    """Lets mmengine read YAML without tags that call Python (`!!python/object/apply`).

    The names in a config are still looked up and called: it is code in any format.
    """
    original = yaml_handler.Loader
    yaml_handler.Loader = yaml.SafeLoader
    try:
        yield
    finally:
        yaml_handler.Loader = original
