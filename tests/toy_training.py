"""Trainings of a few numbers on mmengine's own Runner: hooks without a detector."""

from uuid import uuid4

import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import nn
from torch.utils.data import DataLoader


class Toy(BaseModel):
    """Four inputs, BatchNorm, one output that should be 1."""

    def __init__(self, batch_norm: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4) if batch_norm else nn.Identity()
        self.line = nn.Linear(4, 1)
        with torch.no_grad():
            self.line.weight.copy_(torch.tensor([[0.1, -0.2, 0.3, 0.4]]))
            self.line.bias.zero_()

    def forward(self, inputs, data_samples, mode='tensor'):
        out = self.line(self.norm(torch.stack(inputs)))
        if mode == 'predict':
            return data_samples
        loss = (out - 1).square().mean()
        if any(sample.spike for sample in data_samples):
            loss = (
                loss + (out - out.detach()).abs().sqrt().mean()
            )  # of 0: slope infinite
        return {'loss_toy': loss}


def items(count: int, bad: dict[int, str] | None = None) -> list[dict]:
    """Numbers in `count` dictionaries.

    Args:
        count: How many.
        bad: By index: 'input' is NaN in what the network reads, 'gradient' has a finite
            loss with an infinite gradient.
    """
    generator = torch.Generator().manual_seed(0)
    made = []
    for i in range(count):
        numbers = torch.randn(4, generator=generator)
        kind = (bad or {}).get(i)
        meta = {'img_path': f'{i}.jpg', 'img_id': i, 'spike': kind == 'gradient'}
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[0.0, 0.0, 5.0, i]]), labels=torch.tensor([i])
        )
        if kind == 'input':
            numbers[1] = float('nan')
        made.append({'inputs': numbers, 'data_samples': sample})
    return made


class Scripted(BaseMetric):
    """Gives one score after the other, by the epoch."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__(prefix='toy')
        self.scores = scores
        self.seen = []

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results) -> dict[str, float]:
        epoch = self.runner.epoch
        self.seen.append(epoch)
        return {'mAP': self.scores[epoch - 1]}


def toy_runner(
    work_dir,
    data: list[dict],
    batch: int,
    hooks: list,
    model=None,
    metric=None,
    **kwargs,
) -> Runner:
    """A Runner in the order of the data, with momentum so that a lost step shows."""
    settings = {'train_cfg': {'by_epoch': True, 'max_epochs': 1}, **kwargs}
    if metric is not None:
        settings['val_dataloader'] = DataLoader(data[:1], collate_fn=pseudo_collate)
        settings['val_cfg'], settings['val_evaluator'] = {}, Evaluator([metric])
    settings.setdefault('optim_wrapper', {'type': 'OptimWrapper'})
    settings['optim_wrapper']['optimizer'] = {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}
    checkpoint = {'type': 'CheckpointHook', 'interval': 1}
    if metric is not None:
        checkpoint['save_best'] = 'auto'
    runner = Runner(
        model or Toy(),
        str(work_dir),
        train_dataloader=DataLoader(data, batch, collate_fn=pseudo_collate),
        custom_hooks=hooks,
        default_hooks={
            'logger': {'type': 'LoggerHook', 'interval': 1},
            'checkpoint': checkpoint,
        },
        default_scope='mmdet',
        experiment_name=uuid4().hex,
        **settings,
    )
    if metric is not None:
        metric.runner = runner
    return runner
