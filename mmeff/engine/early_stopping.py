"""Stop a training that no longer improves, at the same epoch with or without resuming."""

from mmengine.hooks import EarlyStoppingHook as MMEngineEarlyStoppingHook

from mmeff.errors import UserError
from mmeff.registry import HOOKS

STATE = 'early_stopping'  # in the message hub, which checkpoints keep


@HOOKS.register_module()
class EarlyStoppingHook(MMEngineEarlyStoppingHook):
    """Stops after `patience` evaluations in a row without a better metric.

    Unlike mmengine's its default step is one of mAP in 0 to 1, and checkpoints keep what
    it has seen. `ExactResumeHook` makes up for the evaluation that a checkpoint lacks.

    Args:
        monitor: The metric; 'auto' is the first one that the evaluation gives, as for
            `save_best` of mmengine's CheckpointHook.
        patience: Evaluations, which are not epochs where `val_interval` is more than 1.
        min_delta: Less than this above the best is no improvement.
        rule: 'greater' or 'less' is better; by default the metric's name tells.
        **kwargs: Of mmengine's hook.

    Raises:
        UserError: There is no evaluation, or it does not give the metric.
    """

    priority = 'LOW'  # before CheckpointHook, which saves once more after an evaluation

    def __init__(
        self,
        monitor: str = 'auto',
        patience: int = 5,
        min_delta: float = 0.001,
        rule: str | None = None,
        **kwargs,
    ) -> None:
        known = 'mAP' if monitor == 'auto' else monitor  # until the metric is known
        super().__init__(
            known, rule=rule, patience=patience, min_delta=min_delta, **kwargs
        )
        self.monitor = monitor
        self._given_rule, self._delta = rule, min_delta

    def before_train(self, runner) -> None:
        if runner.val_loop is None:
            raise UserError(
                'early stopping watches an evaluation, and the config has none: set '
                'val_dataloader, val_evaluator and val_cfg'
            )
        state = runner.message_hub.runtime_info.get(STATE)
        if state is None or self.monitor not in ('auto', state['monitor']):
            return
        self._watch(state['monitor'])
        self.best_score, self.wait_count = state['best_score'], state['wait_count']
        runner.train_loop.stop_training = self.wait_count >= self.patience

    def after_val_epoch(self, runner, metrics: dict[str, float]) -> None:
        if metrics:
            self._watch(next(iter(metrics)))
        if self.monitor not in metrics:
            raise UserError(
                f'early stopping watches {self.monitor}, and the evaluation gives '
                f'{", ".join(metrics) or "nothing"}; name one as its `monitor`'
            )
        super().after_val_epoch(runner, metrics)
        state = {
            'monitor': self.monitor,
            'best_score': float(self.best_score),
            'wait_count': self.wait_count,
        }
        runner.message_hub.update_info(STATE, state)

    def _watch(self, metric: str) -> None:
        """Settle what 'auto' left open."""
        if self.monitor != 'auto':
            return
        self.monitor = metric
        self.rule = self._given_rule or self._init_rule(metric)
        sign = 1 if self.rule == 'greater' else -1
        self.min_delta, self.best_score = sign * self._delta, -sign * float('inf')
