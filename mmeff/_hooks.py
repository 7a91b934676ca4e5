"""Import hooks behind `import mmeff` (stdlib only, so that the import stays light).

Two things happen: `mmcv._ext` is served when mmcv has no compiled extension
(`mmeff/autoload`), and each upstream module named in `PATCHES` is handed to its file
in `mmeff/compat/` right after it was executed - or at once, when it was imported
before mmeff.
"""

import sys
from importlib import import_module
from importlib.machinery import PathFinder

from mmeff.autoload import serve_mmcv_ext

# upstream module -> files of mmeff/compat whose apply(module) mends it
PATCHES = {
    'mmengine.config.config': ('packages', 'config_names', 'atomic_write'),
    'mmengine.config.utils': ('config_names',),
    'mmengine.dist.utils': ('cpu_ddp',),
    'mmengine.fileio.backends.local_backend': ('atomic_write',),
    'mmengine.hooks.checkpoint_hook': ('atomic_write',),
    'mmengine.hub.hub': ('packages', 'config_names'),
    'mmengine.model.wrappers.distributed': ('cpu_ddp',),
    'mmengine.optim.optimizer.amp_optimizer_wrapper': ('cpu_amp',),
    'mmengine.runner.checkpoint': ('safe_checkpoint',),
    'mmengine.utils': ('packages',),
    'mmengine.utils.dl_utils.misc': ('find_loader',),
    'mmengine.utils.package_utils': ('packages',),
    'mmdet.apis.inference': ('inference_pipeline',),
    'mmdet.models.dense_heads.ssd_head': ('ssd_head',),
    'mmdet.models.roi_heads.roi_extractors.single_level_roi_extractor': ('bf16_rois',),
}


def _patch(module) -> None:
    for name in PATCHES[module.__name__]:
        import_module(f'mmeff.compat.{name}').apply(module)


class _PatchFinder:
    """Finds the modules of `PATCHES` as usual and patches them once executed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in PATCHES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_and_patch(module):
            execute(module)
            _patch(module)

        spec.loader.exec_module = exec_and_patch  # each spec has a loader of its own
        return spec


def install() -> None:
    """Install the hooks; a second call changes nothing."""
    if _PatchFinder in sys.meta_path:
        return
    sys.meta_path.insert(0, _PatchFinder)
    serve_mmcv_ext()
    for name in PATCHES:
        if name in sys.modules:
            _patch(sys.modules[name])
