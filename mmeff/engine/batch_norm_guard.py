"""Say so when BatchNorm is about to learn from too few images."""

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmeff.registry import HOOKS


@HOOKS.register_module()
class BatchNormGuardHook(Hook):
    """Warns, once and before training, of BatchNorm layers that see few images at a time.

    Means and variances of few images are noisy, and images of one scene alike: training
    learns slowly or diverges, and evaluation, which uses averaged statistics, sees another
    network. Layers that keep their statistics (`norm_eval`, frozen stages) do not count;
    SyncBN sees the images of all devices.

    Args:
        min_images: Fewer images at a time are few.
    """

    def __init__(self, min_images: int = 8) -> None:
        self.min_images = min_images

    def before_train(self, runner) -> None:
        # As the loop does next; before it norm_eval and frozen stages do not show.
        runner.model.train()
        sampler = runner.train_dataloader.batch_sampler
        on_device = getattr(sampler, 'batch_size', None)
        if not isinstance(on_device, int):
            return  # samplers of some kinds do not tell
        everywhere = on_device * get_world_size()
        few = [
            name
            for name, module in runner.model.named_modules()
            if isinstance(module, _BatchNorm)
            and module.training
            and _seen(module, on_device, everywhere) < self.min_images
        ]
        if few:
            runner.logger.warning(self._message(few, on_device, everywhere))

    def _message(self, few: list[str], on_device: int, everywhere: int) -> str:
        layers = 'layer learns' if len(few) == 1 else 'layers learn'
        return (
            f'{len(few)} BatchNorm {layers} from {on_device} images per device '
            f'({everywhere} in all), the first is {few[0]}; below {self.min_images} '
            'training is slow or diverges, and evaluation differs from it. Remedies: '
            f'train_dataloader.batch_size={self.min_images} or more (the images may be '
            "smaller); on several devices norm_cfg=dict(type='SyncBN'); from scratch "
            "norm_cfg=dict(type='GN', num_groups=8); with pretrained weights "
            'norm_eval=True in the backbone'
        )


def _seen(module: nn.Module, on_device: int, everywhere: int) -> int:
    return everywhere if isinstance(module, nn.SyncBatchNorm) else on_device
