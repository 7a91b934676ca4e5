"""Heat maps of aggregation weights, from checkpoints as users have them."""

import json
from pathlib import Path

import pytest
import torch

from mmeff.checkpoints.detector import build_detector
from mmeff.cli import main
from mmeff.config import load_config
from mmeff.models.backbones import VoVNet

# A config whose channels fit the small backbone.
SLIM = 'vovnet27-slim_rtmdet.py'


@pytest.fixture
def aggregation(tmp_path, monkeypatch):
    """aggregation(*arguments) -> exit status of the tool, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: main(['aggregation', *map(str, arguments)])


def fill(backbone) -> None:
    """Give the first module's weights the number of their source, from 1."""
    module = backbone.stages[0].osa1
    widths = [128, 64, 64, 64, 64, 64]
    numbers = torch.arange(1.0, 7).repeat_interleave(torch.tensor(widths))
    module.aggregate.conv.weight.data.copy_(-numbers[:, None, None])


def values(file: str) -> list[float]:
    """Values of the first module."""
    (panel,) = json.loads(Path(file).read_text('utf-8'))['maps']
    return [row[0] for row in panel['mean_abs_weight']]


def test_checkpoint_of_a_detector(aggregation, capsys):
    detector = build_detector(load_config(SLIM), device='cpu')
    fill(detector.backbone)
    torch.save({'state_dict': detector.state_dict(), 'meta': {}}, 'detector.pth')
    assert aggregation(SLIM, 'detector.pth', '--out', 'maps/heat.png') == 0
    output = capsys.readouterr().out
    assert output.splitlines()[-2:] == ['maps/heat.json', 'maps/heat.png']
    assert 'random' not in output
    assert Path('maps/heat.png').read_bytes().startswith(b'\x89PNG')
    assert values('maps/heat.json') == [1, 2, 3, 4, 5, 6]


def test_weights_of_a_backbone_alone(aggregation):
    backbone = VoVNet('27-slim')
    fill(backbone)
    torch.save(backbone.state_dict(), 'backbone.pth')
    assert aggregation(SLIM, 'backbone.pth', '--out', 'heat.svg') == 0
    assert '<svg' in Path('heat.svg').read_text('utf-8')
    assert values('heat.json') == [1, 2, 3, 4, 5, 6]


def test_random_weights_are_told(aggregation, capsys):
    assert aggregation('densenet_retinanet.py') == 0
    assert 'note: the weights are random' in capsys.readouterr().out
    result = json.loads(Path('aggregation.json').read_text('utf-8'))
    assert result['checkpoint'] is None
    block = result['maps'][0]
    assert block['title'] == 'block 1'
    first = block['mean_abs_weight']
    assert first[1][0] is None  # the first layer does not read itself
    assert first[1][1] > 0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['mobilenetv2_retinanet.py'], 'MobileNetV2: expected VoVNet or DenseNet'),
        ([SLIM, 'none.pth'], 'none.pth: no such file'),
        ([SLIM, 'other.pth'], 'other.pth is not a VoVNet in a known layout'),
        (['vovnet39_retinanet.py', 'slim.pth'], 'of another shape'),
        ([SLIM, '--out', 'heat.txt'], 'heat.txt: expected a picture that ends in'),
        (['empty.py'], 'the config has no `model.backbone`'),
        (['nothing.py'], 'config nothing.py: no such file'),
    ],
)
def test_mistakes_are_told_in_one_message(
    aggregation, tmp_path, capsys, arguments, message
):
    torch.save({'weight': torch.ones(1)}, tmp_path / 'other.pth')
    torch.save(VoVNet('27-slim').state_dict(), tmp_path / 'slim.pth')
    (tmp_path / 'empty.py').write_text('a = 1\n')
    assert aggregation(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
    assert not list(tmp_path.glob('*.json'))
    assert not list(tmp_path.glob('*.png'))
