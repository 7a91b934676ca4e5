"""Published weights go into a backbone whole, from any layout, or not at all."""

import pytest
import torch
from mmengine.model import BaseModule
from safetensors.torch import save_file

from mmeff.checkpoints.backbone import load_backbone_weights
from mmeff.errors import UserError
from mmeff.models.backbones import MobileNetV2, VoVNet


@pytest.fixture
def saved(tmp_path):
    """State of a light network, and a function that saves a state under a name."""
    state = MobileNetV2(0.35, num_classes=5).state_dict()

    def save(name='weights.pth', content=None):
        path = str(tmp_path / name)
        content = state if content is None else content
        (save_file if name.endswith('.safetensors') else torch.save)(content, path)
        return path

    return state, save


def all_equal(model, state) -> bool:
    return all(
        torch.equal(value, state[key]) for key, value in model.state_dict().items()
    )


@pytest.mark.parametrize('wrapper', [None, 'state_dict', 'model', 'model_state'])
def test_wrappers_of_training_scripts_are_taken_off(saved, wrapper):
    state, save = saved
    content = {wrapper: state, 'epoch': 3} if wrapper else state
    model = MobileNetV2(0.35, num_classes=5)
    summary = load_backbone_weights(model, save(content=content))
    assert summary.startswith('loaded 262/262 tensors of MobileNetV2 from ')
    assert summary.endswith('(mmeff layout)')
    assert all_equal(model, state)


def test_safetensors_are_read(saved):
    state, save = saved
    model = MobileNetV2(0.35, num_classes=5)
    load_backbone_weights(model, save('weights.safetensors'))
    assert all_equal(model, state)


def test_classifier_of_the_file_is_left_over_by_a_backbone(saved):
    state, save = saved
    model = MobileNetV2(0.35, out_indices=(0, 4))
    summary = load_backbone_weights(model, save())
    assert '2 of the file not used: head.fc.weight, head.fc.bias' in summary
    assert all_equal(model, state)


def test_stages_that_a_detector_does_not_need_are_left_over(saved):
    state, save = saved
    model = MobileNetV2(0.35, out_indices=(0, 1))
    load_backbone_weights(model, save())
    assert all_equal(model, state)


def test_prefix_takes_the_backbone_out_of_a_detector(saved):
    state, save = saved
    detector = {f'backbone.{key}': value for key, value in state.items()}
    path = save(content={**detector, 'neck.weight': torch.zeros(1)})
    for prefix in ('backbone.', 'backbone'):
        model = MobileNetV2(0.35)
        init_cfg = dict(type='Pretrained', checkpoint=path, prefix=prefix)
        model = MobileNetV2(0.35, init_cfg=init_cfg)
        model.init_weights()
        assert all_equal(model, state)
    with pytest.raises(
        UserError, match=r"below prefix='body.*begin with backbone, neck"
    ):
        load_backbone_weights(model, path, prefix='body')


def test_missing_prefix_is_advised(saved):
    state, save = saved
    path = save(content={f'backbone.{key}': value for key, value in state.items()})
    with pytest.raises(UserError, match=r'say prefix="backbone\."'):
        load_backbone_weights(MobileNetV2(0.35), path)


def test_less_than_everything_is_an_error_and_changes_nothing(saved):
    _, save = saved
    model = MobileNetV2(0.5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    message = r'only \d+/255 tensors .* of another shape: .* strict=False in init_cfg'
    with pytest.raises(UserError, match=message):
        load_backbone_weights(model, save())
    assert all_equal(model, before)


def test_partial_loading_takes_what_fits_when_it_is_asked_for(saved):
    state, save = saved
    del state['stages.4.conv.weight']
    other_classes = MobileNetV2(0.35, num_classes=9)
    kept = other_classes.stages[4].conv.weight.clone()
    summary = load_backbone_weights(other_classes, save(), strict=False)
    assert 'loaded 259/262 tensors' in summary
    assert '3 kept as they were: stages.4.conv.weight, head.fc.weight (5, ' in summary
    assert torch.equal(other_classes.stages[4].conv.weight, kept)
    assert torch.equal(other_classes.stem[0].conv.weight, state['stem.0.conv.weight'])


def test_weights_of_another_family_are_named_by_their_keys(saved):
    _, save = saved
    path = save(content={'encoder.weight': torch.zeros(2)})
    message = r'not a VoVNet in a known layout \(official, .*begin encoder.weight'
    with pytest.raises(UserError, match=message):
        load_backbone_weights(VoVNet('39'), path)


@pytest.mark.parametrize('name', ['cut.pth', 'cut.safetensors'])
def test_cut_off_files_are_an_error_with_their_name(saved, name):
    _, save = saved
    path = save(name)
    with open(path, 'r+b') as file:
        file.truncate(5000)
    with pytest.raises(UserError, match=rf'{name} \(5000 bytes\)'):
        load_backbone_weights(MobileNetV2(0.35), path)


@pytest.mark.parametrize(
    ('checkpoint', 'message'),
    [
        ('nowhere.pth', 'nowhere.pth: no such file'),
        ('timm://mobilenetv2_999', r"no model 'mobilenetv2_999'; .* mobilenetv2_035"),
        ('torchvision://mobilenet_v9', r"no model 'mobilenet_v9'; .* mobilenet_v2"),
    ],
)
def test_names_that_do_not_exist_say_so(checkpoint, message):
    pytest.importorskip('timm')
    with pytest.raises(UserError, match=message):
        load_backbone_weights(MobileNetV2(), checkpoint)


@pytest.mark.parametrize(
    ('library', 'name'), [('timm', 'mobilenetv2_100'), ('torchvision', 'mobilenet_v2')]
)
def test_libraries_are_asked_for_their_weights(library, name, monkeypatch, tmp_path):
    """Their download is replaced by a network with random weights, for want of a net."""
    module = pytest.importorskip(f'{library}.models')
    create = module.get_model if library == 'torchvision' else module.create_model
    made = []

    def offline(asked, pretrained=None, weights=None):
        assert pretrained or weights == 'DEFAULT'
        made.append(create(asked))
        return made[0]

    target = pytest.importorskip(library) if library == 'timm' else module
    attribute = 'create_model' if library == 'timm' else 'get_model'
    monkeypatch.setattr(target, attribute, offline)
    model = MobileNetV2(num_classes=1000)
    summary = load_backbone_weights(model, f'{library}://{name}')
    assert f'262/262 tensors of MobileNetV2 from {library}://{name}' in summary
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.eval()(x), made[0].eval()(x))


def test_a_detector_records_where_its_weights_came_from(saved):
    state, save = saved

    class Detector(BaseModule):
        def __init__(self):
            super().__init__()
            self.backbone = MobileNetV2(
                0.35, init_cfg=dict(type='Pretrained', checkpoint=save())
            )

    detector = Detector()
    detector.init_weights()
    assert all_equal(detector.backbone, state)
