# %% [markdown]
# # Quickstart
#
# Train a small detector from random weights on pictures that are drawn here, evaluate it,
# and look at what it finds. Run the file whole (`python examples/quickstart.py`, half a
# minute), or cell by cell in an editor that knows `# %%`. So short a training shows every
# step and finds little; `make demo` is the same with a training of eight minutes.
# Everything is written below `work_dirs/quickstart`.

# %%
from pathlib import Path

from mmeff.apis.predict import predict
from mmeff.apis.test import test
from mmeff.apis.train import train
from mmeff.config import load_config
from mmeff.datasets import make_shapes

OUT = Path('work_dirs/quickstart')
EPOCHS = 3

# %% [markdown]
# ## Data
#
# Circles, rectangles and triangles with exact boxes, as a folder in COCO layout. A folder of
# yours goes in the same place.

# %%
data = make_shapes(OUT / 'shapes', num_train=64, num_val=16, image_size=(64, 64))

# %% [markdown]
# ## Config
#
# A config that travels with mmeff, by name. It is made for 320 pixels; these pictures have
# 64. `--cfg-options` on the command line does the same.

# %%
cfg = load_config('vovnet27-slim_rtmdet.py')
steps = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
]
cfg.train_dataloader.dataset.pipeline = [
    *steps,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
cfg.val_dataloader.dataset.pipeline[1].scale = (64, 64)
cfg.test_dataloader = cfg.val_dataloader
options = {
    'train_cfg.max_epochs': EPOCHS,
    'train_cfg.val_interval': EPOCHS,
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'test_dataloader.num_workers': 0,
    'optim_wrapper.optimizer.lr': 0.002,
    'param_scheduler': [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
        dict(type='CosineAnnealingLR', T_max=EPOCHS, convert_to_iter_based=True),
    ],
}

# %% [markdown]
# ## Train and evaluate
#
# The number of classes, the loaders and the metric follow the folder. The work dir keeps
# checkpoints, the log, and a copy of the config that knows the data.

# %%
train(cfg, OUT / 'run', data, cfg_options=options)
config, checkpoint = next(OUT.glob('run/*.py')), OUT / 'run' / f'epoch_{EPOCHS}.pth'
metrics = test(config, checkpoint, OUT / 'run')
print(f'box AP50 on pictures it has not seen: {100 * metrics["coco/bbox_mAP_50"]:.1f}')

# %% [markdown]
# ## Look at it
#
# Drawn pictures in `outputs/vis`, boxes in `outputs/predictions.json`. After so few steps
# scores are low.

# %%
summary = predict(
    config, checkpoint, data / 'val', OUT / 'outputs', pred_score_thr=0.1, batch_size=8
)
print(f'{summary.num_boxes} boxes in {summary.num_images} pictures: {OUT}/outputs/vis')
