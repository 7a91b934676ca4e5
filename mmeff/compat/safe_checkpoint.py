"""mmengine's own checkpoints cannot be loaded, or only by running their code.

Why: torch >= 2.6 loads weights only by default and refuses the `HistoryBuffer` and
numpy values in mmengine's checkpoints, so that resume, `load_from` and test fail;
checkpoints fetched by URL are still unpickled in full; and resuming runs `meta['config']`
of a checkpoint as Python. `.pkl` files (`proposal_file`) are unpickled in full. What cannot
be found or fetched is a traceback.
Upstream: https://github.com/open-mmlab/mmengine/issues/1655, pull 1650 (unreleased).
Delete when: the oldest supported mmengine loads its checkpoints with weights_only=True,
and runs no config out of them.
"""

import os
import os.path as osp
import re
from http.client import HTTPException
from urllib.parse import urlsplit


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location=None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
) -> dict:
    """Stand-in for torch's function of this name; reads what came as plain data.

    Raises:
        UserError: Nothing can be fetched, or it is no checkpoint.
    """
    from torch import hub

    from mmeff.checkpoints.safe import load_file
    from mmeff.errors import UserError

    name = file_name or osp.basename(urlsplit(url).path)
    if name in ('', '.', '..'):
        raise UserError(f'{url}: names no file; expected the address of a checkpoint')
    folder = model_dir or osp.join(hub.get_dir(), 'checkpoints')
    file = osp.join(folder, name)
    if not osp.exists(file):
        digest = re.search(r'-([a-f0-9]{8,})\.', name) if check_hash else None
        try:
            os.makedirs(folder, exist_ok=True)
            hub.download_url_to_file(url, file, digest and digest[1], progress)
        except (OSError, ValueError, RuntimeError, HTTPException) as error:
            raise UserError(
                f'{url} cannot be fetched ({error}); fetch the file where there is a '
                'network and give its path'
            ) from error
    return load_file(file, map_location)


def apply(module) -> None:
    from mmengine.fileio.handlers import file_handlers

    from mmeff.checkpoints.plain_pickle import load_plain_pickle
    from mmeff.checkpoints.safe import load_file, without_code
    from mmeff.errors import UserError

    loader = module.CheckpointLoader
    original = loader.load_checkpoint

    def load_checkpoint(filename, map_location=None, logger='current') -> dict:
        try:
            content = original(filename, map_location, logger)
        except KeyError as error:
            raise UserError(f'checkpoint {filename}: no model of this name') from error
        return without_code(content, filename)

    module.load_url = load_url
    loader.load_checkpoint = staticmethod(load_checkpoint)
    loader.register_scheme('', load_file, force=True)
    handler = type(file_handlers['pkl'])
    handler.load_from_fileobj = staticmethod(load_plain_pickle)
