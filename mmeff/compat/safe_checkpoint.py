"""mmengine's own checkpoints cannot be loaded, or only by running their code.

Why: torch >= 2.6 loads weights only by default and refuses the `HistoryBuffer` and
numpy values in mmengine's checkpoints, so that resume, `load_from` and test fail; and
checkpoints fetched by URL are still unpickled in full.
Upstream: https://github.com/open-mmlab/mmengine/issues/1655, pull 1650 (unreleased).
Delete when: the oldest supported mmengine loads its checkpoints with weights_only=True.
"""

import functools


def apply(module) -> None:
    from mmeff.checkpoints.safe import allow_mmengine_types, load_file

    original = module.load_url

    @functools.wraps(original)
    def load_url(*args, **kwargs):
        with allow_mmengine_types():
            return original(*args, **kwargs, weights_only=True)

    module.load_url = load_url
    module.CheckpointLoader.register_scheme('', load_file, force=True)
