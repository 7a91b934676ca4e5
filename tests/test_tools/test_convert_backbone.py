"""tools/model_converters/convert_backbone.py writes files that mmeff reads."""

import pytest
import torch

from mmeff.cli import main
from mmeff.models.backbones import MobileNetV2


@pytest.mark.parametrize('name', ['sub/out.pth', 'sub/out.safetensors'])
def test_torchvision_weights_become_our_own(tmp_path, capsys, name):
    models = pytest.importorskip('torchvision.models')
    theirs = models.mobilenet_v2(width_mult=0.35).eval()
    torch.save(theirs.state_dict(), tmp_path / 'theirs.pth')
    out = str(tmp_path / name)
    options = ['--options', 'widen_factor=0.35', 'num_classes=1000']
    arguments = ['MobileNetV2', str(tmp_path / 'theirs.pth'), out, *options]
    assert main(['convert_backbone', *arguments]) == 0
    assert f'wrote 314 tensors to {out}' in capsys.readouterr().out
    init_cfg = dict(type='Pretrained', checkpoint=out)
    ours = MobileNetV2(0.35, num_classes=1000, init_cfg=init_cfg)
    ours.init_weights()
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(ours.eval()(x), theirs(x))
    assert [path.name for path in (tmp_path / 'sub').iterdir()] == [name[4:]]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['NoNet', 'a.pth', 'b.pth'], 'expected one of '),
        (['MobileNetV2', 'a.pth', 'b.txt'], 'ends in .pth or .safetensors'),
        (['MobileNetV2', 'a.pth', 'b.pth'], 'a.pth: no such file'),
        (['VoVNet', 'a.pth', 'b.pth', '--options', 'arch=40'], "arch='40'"),
        (['VoVNet', 'a.pth', 'b.pth', '--options', 'depth=39'], 'depth'),
    ],
)
def test_bad_input_is_one_message(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(['convert_backbone', *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
    assert not list(tmp_path.iterdir())
