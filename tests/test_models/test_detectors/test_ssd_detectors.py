"""The configs of the SSD family: layouts, published counts, weights of mmdet."""

import copy
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmeff.checkpoints.loading import load_detector_weights
from mmeff.config import load_config
from mmeff.profiling.counts import count_params

CONFIGS = {  # sides of the maps
    'ssdlite320_mobilenetv2_coco': (20, 10, 5, 3, 2, 1),
    'ssdlite320_mobilenetv1_coco': (20, 10, 5, 3, 2, 1),
    'ssd300_mobilenetv1_voc': (19, 10, 5, 3, 2, 1),
    'pelee304_voc': (19, 19, 10, 5, 3, 1),
}


def build(name: str) -> nn.Module:
    cfg = load_config(name)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model)


def side(name: str) -> int:
    (scale,) = [
        step.scale for step in load_config(name).test_pipeline if step.type == 'Resize'
    ]
    assert scale[0] == scale[1]
    return scale[0]


@pytest.mark.parametrize('name', CONFIGS)
def test_maps_and_strides_fit(name):
    """The strides of the priors are the side of the input over those of the maps."""
    with torch.device('meta'):
        model = build(name).eval()
        scores, deltas = model(torch.empty(1, 3, side(name), side(name)), mode='tensor')
    head = model.bbox_head
    for i, cells in enumerate(CONFIGS[name]):
        boxes = head.num_base_priors[i]
        classes = head.num_classes + 1
        assert scores[i].shape == (1, boxes * classes, cells, cells)
        assert deltas[i].shape == (1, boxes * 4, cells, cells)
        assert head.prior_generator.strides[i][0] == pytest.approx(side(name) / cells)


@pytest.mark.parametrize(
    ('name', 'merged'),
    [('ssd300_mobilenetv1_voc', 5_783_417), ('pelee304_voc', 5_417_188)],
)
def test_published_parameters_have_norms_merged_into_convolutions(name, merged):
    """Then a norm's scale is gone and its shift is the convolution's bias."""
    with torch.device('meta'):
        model = build(name)
    scales = sum(
        m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)
    )
    assert count_params(model).total - scales == merged


def test_ssdlite_reads_its_first_map_from_an_expansion():
    with torch.device('meta'):
        model = build('ssdlite320_mobilenetv2_coco')
        first, last = model.backbone(torch.empty(1, 3, 320, 320))
    assert first.shape == (1, 576, 20, 20)
    assert last.shape == (1, 1280, 10, 10)


# --- the layout of mmdet ---------------------------------------------------------------


@pytest.fixture
def both() -> tuple[nn.Module, nn.Module]:
    """mmdet's own SSDLite, with weights and statistics that are no start, and ours."""
    import mmdet

    path = 'ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py'
    cfg = Config.fromfile(Path(mmdet.__file__).parent / '.mim' / 'configs' / path)
    init_default_scope(cfg.default_scope)
    theirs, ours = MODELS.build(cfg.model), build('ssdlite320_mobilenetv2-mmdet_coco')
    torch.manual_seed(0)
    theirs.init_weights()
    with torch.no_grad():
        theirs.train()(torch.randn(2, 3, 320, 320))
        for predictor in (*theirs.bbox_head.cls_convs, *theirs.bbox_head.reg_convs):
            predictor[-1].weight.normal_(0, 0.3)
            predictor[-1].bias.normal_(0, 0.3)
    return theirs.eval(), ours.eval()


def test_weights_of_mmdet_load_as_they_are(both, tmp_path):
    theirs, ours = both
    torch.save({'state_dict': theirs.state_dict(), 'meta': {}}, tmp_path / 'file.pth')
    load_detector_weights(ours, str(tmp_path / 'file.pth'))
    state = ours.state_dict()
    assert state.keys() == theirs.state_dict().keys()
    assert all(torch.equal(v, state[k]) for k, v in theirs.state_dict().items())


@torch.no_grad()
def test_mmdets_weights_detect_the_same_in_both(both):
    theirs, ours = both
    ours.load_state_dict(theirs.state_dict(), strict=True)
    image = torch.randint(0, 256, (3, 320, 320), dtype=torch.uint8)
    meta = dict(img_shape=(320, 320), ori_shape=(240, 400), scale_factor=(0.8, 4 / 3))
    data = dict(inputs=[image], data_samples=[DetDataSample(metainfo=meta)])
    x = ours.data_preprocessor(copy.deepcopy(data))['inputs']
    assert torch.equal(x, theirs.data_preprocessor(copy.deepcopy(data))['inputs'])
    for found, expected in zip(ours(x), theirs(x), strict=True):
        for level, wanted in zip(found, expected, strict=True):
            assert torch.equal(level, wanted)
    (found,), (expected,) = (
        model.test_step(copy.deepcopy(data)) for model in (ours, theirs)
    )
    found, expected = found.pred_instances, expected.pred_instances
    assert len(expected) > 10
    for key in ('bboxes', 'scores', 'labels'):
        assert torch.equal(found[key], expected[key])
