"""The opt-in start-up file that loads mmeff in every Python of an environment."""

import sysconfig
from pathlib import Path

from mmeff.errors import UserError

# One line, since that is what a .pth file can run; silent when mmeff was uninstalled.
LINE = (
    "import importlib.util; importlib.util.find_spec('mmeff') and __import__('mmeff')\n"
)


def _path() -> Path:
    return Path(sysconfig.get_path('purelib')) / 'mmeff_hooks.pth'


def install() -> str:
    """Write the start-up file; a second call changes nothing.

    Returns:
        What was done, for people.

    Raises:
        UserError: The folder cannot be written.
    """
    path = _path()
    try:
        path.write_text(LINE)
    except OSError as error:
        raise UserError(
            f'{path} cannot be written ({error.strerror}); use a virtual environment '
            'of yours, or put `import mmeff` first in your script'
        ) from error
    return f'installed: every Python of this environment loads mmeff ({path})'


def remove() -> str:
    """Delete the start-up file, if it is there.

    Returns:
        What was done, for people.

    Raises:
        UserError: The file cannot be deleted.
    """
    path = _path()
    if not path.exists():
        return f'nothing to remove: {path} does not exist'
    try:
        path.unlink()
    except OSError as error:
        raise UserError(f'{path} cannot be deleted: {error.strerror}') from error
    return f'removed: {path}'


def status() -> str:
    """Whether the start-up file is there.

    Returns:
        The state, for people.
    """
    path = _path()
    return f'installed: {path}' if path.exists() else f'not installed ({path})'
