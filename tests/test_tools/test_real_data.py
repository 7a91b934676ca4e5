"""VoVNet-39 Mask R-CNN on real COCO images: train, evaluate, predict."""

import json
import math
from pathlib import Path
from statistics import mean

import pytest

from mmeff.apis.predict import predict
from mmeff.apis.test import test as evaluate
from mmeff.apis.train import train


@pytest.mark.slow
def test_mask_rcnn_lives_through_coco128(real_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 2}
    options |= {'default_hooks.logger.interval': 1}
    # so little trained, it is sure of nothing
    options |= {'model.test_cfg.rcnn.score_thr': 0.001}
    coco = real_data / 'coco128'
    train('vovnet39_maskrcnn.py', 'run', coco, preset='quick', cfg_options=options)
    (log,) = Path('run').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) == 50
    assert all(math.isfinite(loss) for loss in losses)
    assert mean(losses[-10:]) < 0.8 * mean(losses[:10])

    config, checkpoint = 'run/vovnet39_maskrcnn.py', 'run/epoch_2.pth'
    metrics = evaluate(config, checkpoint, 'eval')
    assert all(0 <= metrics[f'coco/{kind}_mAP_50'] <= 1 for kind in ('bbox', 'segm'))
    images = sorted((coco / 'val2017').iterdir())[:3]
    summary = predict(config, checkpoint, images, 'outputs', pred_score_thr=0.001)
    assert len(summary.coco['images']) == 3
    assert len(list(Path('outputs/vis').iterdir())) == 3
