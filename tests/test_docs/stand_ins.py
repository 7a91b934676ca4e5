"""What commands of the documents name: small data sets, configs, random weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from mmdet.datasets import CocoDataset
from mmdet.registry import MODELS
from mmengine.config import Config
from tiny_training import SSDLITE, WITH_BATCH_NORM
from torch import nn

import mmeff
from mmeff.checkpoints.detector import build_detector
from mmeff.config import load_config
from mmeff.datasets import adopt, make_shapes

from processes import DOWNSTREAM
from tiny_detectors import MASK_RCNN

Maker = Callable[[Path, str, Path], None]  # folder, word of a command, sources


def copied(source: str, to: str | None = None) -> Maker:
    """A part of `sources`, under the name of the word or another."""

    def make(folder: Path, word: str, sources: Path) -> None:
        target = folder / (to or word)
        target.parent.mkdir(parents=True, exist_ok=True)
        if (sources / source).is_dir():
            shutil.copytree(sources / source, target, dirs_exist_ok=True)
        else:
            shutil.copy(sources / source, target)

    return make


def config(text: str) -> Maker:
    """A config on the shapes."""

    def make(folder: Path, word: str, sources: Path) -> None:
        path = folder / word
        path.parent.mkdir(parents=True, exist_ok=True)
        cfg = Config.fromstring(text, '.py')
        adopt(cfg, sources / 'shapes', path.parent)
        cfg.dump(path)

    return make


SPREAD = {'cls': 1, 'reg': 0.1}  # no boxes so large that rounding moves them far


def checkpoint(config: str) -> Maker:
    """Random weights of a config, with scores that differ from box to box."""

    def make(folder: Path, word: str, _: Path) -> None:
        own = folder / config
        cfg = load_config(own if own.is_file() else config)
        model = build_detector(cfg, device='cpu')
        generator = torch.Generator().manual_seed(0)
        for name, layer in model.named_modules():
            part = next((part for part in SPREAD if part in name), None)
            if part and isinstance(layer, nn.Conv2d | nn.Linear):
                std = SPREAD[part] / layer.weight[0].numel() ** 0.5
                layer.weight.data.normal_(0, std, generator=generator)
        meta = {'dataset_meta': dict(model.dataset_meta)}
        (folder / word).parent.mkdir(parents=True, exist_ok=True)
        torch.save({'state_dict': model.state_dict(), 'meta': meta}, folder / word)

    return make


def backbone(build: Callable[[], nn.Module]) -> Maker:
    """Random weights in the layout of those who published such."""
    return lambda folder, word, _: torch.save(build().state_dict(), folder / word)


def vovnet39() -> nn.Module:
    return MODELS.build({'type': 'mmeff.VoVNet', 'arch': '39', 'num_classes': 1000})


# What a word of a command asks for, where no command before has made it.
DSOD = 'dsod_bccd/dsod300_vovnet27-slim_coco.py'
DSOD_CONFIG = f"""
_base_ = [{mmeff.config_path('dsod300_vovnet27-slim_coco.py')!r}]
model = dict(bbox_head=dict(num_classes=3))
"""
STAND_INS = {
    'path/to/folder': copied('shapes'),
    'data/mine': copied('shapes'),
    'my_folder': copied('shapes'),
    'shapes': copied('shapes', to='data/shapes'),
    'data/voc': copied('voc'),
    'bccd': copied('voc'),
    'coco128': copied('coco'),
    'coco128/train2017/000000000009.jpg': copied('coco', to='coco128'),
    'vovnet27-slim_rtmdet.py': copied('coco', to='data/coco'),
    'photos/': copied('shapes/val'),
    'images': copied('shapes/val'),
    'path/to/images': copied('shapes/val'),
    'val_images': copied('shapes/val'),
    'instances_val.json': copied('shapes/annotations/instances_val.json'),
    'configs/own_backbone.py': copied('downstream', to='configs'),
    'own.py': config(SSDLITE),
    'net.py': config(WITH_BATCH_NORM),
    'two_stages.py': config(MASK_RCNN),
    DSOD: config(DSOD_CONFIG),
    'own.pth': checkpoint('own.py'),
    'net.pth': checkpoint('net.py'),
    'two_stages.pth': checkpoint('two_stages.py'),
    'ssdlite.pth': checkpoint('ssdlite320_mobilenetv2_coco.py'),
    'work_dirs/vovnet39_maskrcnn/epoch_36.pth': checkpoint('vovnet39_maskrcnn.py'),
    'epoch_100.pth': checkpoint('dsod300_densenet67_voc.py'),
    'run/epoch_60.pth': checkpoint('vovnet27-slim_rtmdet.py'),
    'dsod_bccd/best_pascal_voc_mAP_epoch_100.pth': checkpoint(DSOD),
    'mobilenet_v2-b0353104.pth': backbone(torchvision.models.mobilenet_v2),
    'vovnet.pth': backbone(vovnet39),
    'vovnet39_torchvision.pth': backbone(vovnet39),
}


def make_sources(root: Path) -> Path:
    """Data sets of two and two pictures: `shapes`, and what its parts make."""
    shapes = make_shapes(root / 'shapes', 2, 2, (64, 64))
    stamp = json.loads((shapes / 'shapes.json').read_text())
    voc = root / 'voc' / 'VOC2007'
    shutil.copytree(shapes / 'VOC2007', voc)
    shutil.copy(shapes / 'val/val_000000.jpg', voc / 'JPEGImages/BloodImage_00007.jpg')
    (root / 'coco/annotations').mkdir(parents=True)
    names = CocoDataset.METAINFO['classes']
    for split in ('train', 'val'):
        shutil.copytree(shapes / split, root / f'coco/{split}2017')
        file = f'annotations/instances_{split}'
        content = json.loads((shapes / f'{file}.json').read_text())
        content['categories'] = [
            {'id': number, 'name': name} for number, name in enumerate(names, 1)
        ]
        (root / f'coco/{file}2017.json').write_text(json.dumps(content))
    shutil.copy(shapes / 'val/val_000000.jpg', root / 'coco/train2017/000000000009.jpg')
    # said to be what `--data shapes` draws, so that it is not drawn
    stamp |= {'num_train': 800, 'num_val': 200, 'image_size': [128, 128]}
    (shapes / 'shapes.json').write_text(json.dumps(stamp))
    shutil.copytree(DOWNSTREAM / 'configs', root / 'downstream')
    return root


def provide(words: list[str], folder: Path, sources: Path) -> None:
    """Put what a command names where the command looks for it."""
    homes = {Path(word).parent for word in words if word.endswith('.py')}
    for word in words:
        path = folder / word
        # a training that was cut short has other epochs than the document names
        trained = sorted(path.parent.glob('*epoch_*.pth'))
        if path.exists():
            continue
        if 'epoch_' in word and Path(word).parent in homes and trained:
            shutil.copy(trained[0], path)
        elif word in STAND_INS:
            STAND_INS[word](folder, word, sources)
