"""Backbones as one graph: torch.compile and ONNX.

Tracers see layers and not families, so one family of each kind of block always runs:
concatenation (DenseNet, VoVNet), mixing of stages (GGhostRegNet), cheap maps with
squeeze-and-excitation (GhostNet), inverted residuals (MobileNetV3), shuffling
(ShuffleNetV2). The others are made of the same and run when they are asked for.
"""

import pytest
import torch
from torch.testing import assert_close

from backbone_cases import FAMILIES, varied

KINDS = (
    'DenseNet',
    'GGhostRegNet',
    'GhostNet',
    'MobileNetV3',
    'ShuffleNetV2',
    'VoVNet',
)
pytestmark = pytest.mark.parametrize(
    'family',
    [
        name if name in KINDS else pytest.param(name, marks=pytest.mark.slow)
        for name in FAMILIES
    ],
)


def test_compiles_to_one_graph(family):
    model = varied(family).double()
    x = torch.rand(1, 3, 64, 96).double()
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    with torch.no_grad():
        assert_close(compiled(x), model(x))


def test_onnx_gives_the_same_outputs(family, tmp_path):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    runtime = pytest.importorskip('onnxruntime')
    model = varied(family)
    x = torch.rand(1, 3, 75, 96)
    path = str(tmp_path / 'backbone.onnx')
    torch.onnx.export(model, (x,), path, dynamo=True, input_names=['image'])
    session = runtime.InferenceSession(path, providers=['CPUExecutionProvider'])
    outputs = [torch.from_numpy(o) for o in session.run(None, {'image': x.numpy()})]
    for ours, expected in zip(outputs, model(x), strict=True):
        assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()
