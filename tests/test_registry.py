"""The scope `mmeff`: visible from mmdet, falls back to mmdet, takes no name from it."""

import mmdet.registry
import pytest
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope, Registry

import mmeff.registry

NODES = [
    name
    for name, node in vars(mmdet.registry).items()
    if isinstance(node, Registry) and not name.startswith('MMENGINE_')
]


@pytest.mark.parametrize('name', NODES)
def test_every_node_of_mmdet_has_a_child(name):
    child = getattr(mmeff.registry, name)
    assert child.scope == 'mmeff'
    assert child.parent is getattr(mmdet.registry, name)


def test_type_with_scope_is_found_from_mmdet_and_from_the_root():
    from mmengine.registry import MODELS as ROOT

    assert MODELS.get('mmeff.VoVNet') is mmeff.VoVNet
    assert ROOT.get('mmeff.VoVNet') is mmeff.VoVNet


def test_names_of_mmdet_stay_theirs():
    shared = {
        'DATASETS': {'CocoDataset'},
        'METRICS': {'CocoMetric', 'VOCMetric'},
        'MODELS': {'EfficientNet', 'MobileNetV2', 'SSDHead'},
    }
    for name, child in vars(mmeff.registry).items():
        if isinstance(child, Registry) and child.parent is not None:
            child.import_from_location()
            parent = child.parent
            both = set(child.module_dict) & set(parent.module_dict)
            assert both == shared.get(name, set()), name
    with DefaultScope.overwrite_default_scope('mmdet'):
        for node, names in shared.items():
            for name in names:
                found = getattr(mmeff.registry, node).parent.get(name)
                assert found.__module__.startswith('mmdet.')


def test_default_scope_mmeff_finds_both():
    with DefaultScope.overwrite_default_scope('mmeff'):
        from mmengine.registry import MODELS as ROOT

        assert ROOT.build(dict(type='VoVNet', arch='27-slim')).out_channels
        fpn = ROOT.build(dict(type='FPN', in_channels=[8], out_channels=8, num_outs=1))
        assert type(fpn).__module__.startswith('mmdet')
        from mmengine.registry import TRANSFORMS

        step = TRANSFORMS.build(dict(type='LoadAnnotations', with_mask=True))
        assert type(step).__module__.startswith('mmdet')  # not mmcv's of that name


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match='NoSuchThing'):
        _ = mmeff.NoSuchThing
