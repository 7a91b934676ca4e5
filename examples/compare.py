# %% [markdown]
# # Three detectors, compared
#
# Train three light detectors alike, evaluate them, time them in turns, and read one report:
# which is worth its time on this machine? Minutes on two cores; everything is written below
# `work_dirs/compare`. One epoch of 16 drawn pictures says nothing of the accuracy; with a
# folder of yours in place of `data` and 120 epochs it is the real thing.

# %%
from pathlib import Path

from mmeff.apis.benchmark import benchmark
from mmeff.apis.benchmark_options import Options
from mmeff.apis.report import report
from mmeff.apis.test import test
from mmeff.apis.train import train
from mmeff.datasets import make_shapes
from mmeff.profiling.latency import Budget
from mmeff.reporting.text import for_markdown

OUT = Path('work_dirs/compare')
EPOCHS = 1
DETECTORS = (
    'ssdlite320_mobilenetv2_coco.py',
    'ssdlite320_mobilenetv1_coco.py',
    'dsod300_vovnet27-slim_coco.py',
)

# %% [markdown]
# ## Train and evaluate, each with the same data and preset
#
# The preset `scratch` is for training from random weights on few pictures.

# %%
data = make_shapes(OUT / 'shapes', num_train=16, num_val=8, image_size=(64, 64))
options = {
    'train_cfg.max_epochs': EPOCHS,
    'train_cfg.val_begin': 1,
    'train_cfg.val_interval': EPOCHS,
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'test_dataloader.num_workers': 0,
}
configs, checkpoints = [], []
for name in DETECTORS:
    work_dir = OUT / Path(name).stem
    train(name, work_dir, data, preset='scratch', cfg_options=options)
    configs.append(work_dir / name)
    checkpoints.append(work_dir / f'epoch_{EPOCHS}.pth')
    test(configs[-1], checkpoints[-1], work_dir)

# %% [markdown]
# ## Time them in turns
#
# In turns, so that a drift of the machine meets all alike. Give it more rounds and seconds
# when the numbers matter.

# %%
budget = Budget(rounds=2, min_runs=5, min_seconds=1, max_seconds=5)
benchmark(configs, checkpoints, Options(budget=budget), out_dir=OUT / 'results')

# %% [markdown]
# ## One report
#
# It joins evaluations and benchmarks of the same weights. The folder has the table as
# Markdown and CSV, figures, and a page for the browser.

# %%
made = report([OUT], OUT / 'report', target_latency_ms=200)
print(for_markdown(made.report))
for choice in made.choices:
    print('\n'.join(choice.sentences()))
