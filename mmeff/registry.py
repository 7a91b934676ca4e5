"""Child registries of MMDetection's, scope `mmeff`.

Any mmdet config may say `type='mmeff.VoVNet'`; with `default_scope='mmeff'` plain
names are looked up here first, then in mmdet, then in mmengine. Every node of mmdet
gets a child (RUNNERS, HOOKS, DATASETS, TRANSFORMS, MODELS, ...), because a scope without
a node of the asked kind would fall back to mmengine's root and miss mmdet.
"""

import mmdet.registry
from mmengine.registry import Registry

# Modules of mmeff that register classes, by node. mmdet's own locations are repeated
# in each child, since a lookup imports the locations of the child alone.
_LOCATIONS = {
    'DATASETS': ['mmeff.datasets.coco_dataset'],
    'HOOKS': ['mmeff.engine'],
    'LOOPS': ['mmeff.engine'],
    'METRICS': ['mmeff.evaluation.metrics'],
    'MODELS': ['mmeff.models'],
    'TASK_UTILS': ['mmeff.models'],
}

__all__ = []
for _name, _node in vars(mmdet.registry).items():
    if isinstance(_node, Registry) and not _name.startswith('MMENGINE_'):
        globals()[_name] = Registry(
            _node.name,
            parent=_node,
            scope='mmeff',
            locations=_node._locations + _LOCATIONS.get(_name, []),
        )
        __all__.append(_name)
