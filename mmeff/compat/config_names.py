"""mmengine resolves `package::config` only for OpenMMLab's own packages and folders.

Why: `_base_ = 'mmeff::...'` fails on a fixed list of packages, and a config at the top
of `configs/` (`mmeff::vovnet39_maskrcnn.py`) on a pattern that wants a folder.
Upstream: https://github.com/open-mmlab/mmengine/issues/1410 (open).
Delete when: mmengine accepts any installed package with a `.mim` folder.
"""

import re


def apply(module) -> None:
    module2package = getattr(module, 'MODULE2PACKAGE', None)
    if module2package is not None:
        module2package['mmeff'] = 'mmeff'

    original = module._get_package_and_cfg_path

    def get_package_and_cfg_path(cfg_path: str) -> tuple[str, str]:
        top_level = re.fullmatch(r'mmeff::([^/]+)', cfg_path)
        return ('mmeff', top_level[1]) if top_level else original(cfg_path)

    module._get_package_and_cfg_path = get_package_and_cfg_path
