"""The file with the metrics of an evaluation."""

import json
import math

import torch
from mmengine.config import Config

from mmeff.apis.test import _write


def test_classes_without_objects_have_no_number(tmp_path):
    file = tmp_path / 'tiny.py'
    file.write_text(f'work_dir = {str(tmp_path)!r}\n')
    cfg = Config.fromfile(file)
    weights = tmp_path / 'tiny.pth'
    torch.save({'state_dict': {}}, weights)
    metrics = {'coco/bbox_mAP': 0.25, 'coco/cow_precision': math.nan}
    _write(metrics, cfg, weights, 'mmdet', 'fp32')
    content = json.loads((tmp_path / 'metrics.json').read_text())
    assert content['metrics'] == {'coco/bbox_mAP': 0.25, 'coco/cow_precision': None}
