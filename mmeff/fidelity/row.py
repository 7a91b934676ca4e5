"""One line of the fidelity report: a network, its counts, and who can confirm it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

from torch import nn


@dataclass(frozen=True)
class Reference:
    """The same network in another library, which shares no code with ours.

    Args:
        library: 'timm', 'torchvision', 'pytorchcv' or 'efficientnet_pytorch'.
        name: Of the model there; with a dot, of a function in a file of timm.
        kwargs: Arguments of its constructor.
        adapt: Changes the built network in place where it knows only some sizes; the
            row's note says what.
    """

    library: str
    name: str
    kwargs: dict = field(default_factory=dict)
    adapt: Callable[[nn.Module], None] | None = None

    def __str__(self) -> str:
        arguments = ', '.join(f'{key}={value}' for key, value in self.kwargs.items())
        return f'{self.library} {self.name}' + (f' ({arguments})' if arguments else '')

    def build(self) -> nn.Module:
        """The network with random weights.

        Raises:
            ImportError: The library is not installed.
        """
        model = self._create()
        if self.adapt is not None:
            self.adapt(model)
        return model

    def _create(self) -> nn.Module:
        if self.library == 'timm':
            module, _, name = self.name.rpartition('.')
            if module:  # a constructor that takes more than the named models do
                constructor = getattr(import_module(f'timm.models.{module}'), name)
                return constructor(**self.kwargs)
            return import_module('timm').create_model(name, **self.kwargs)
        if self.library == 'torchvision':
            models = import_module('torchvision.models')
            return models.get_model(self.name, weights=None, **self.kwargs)
        if self.library == 'pytorchcv':
            provider = import_module('pytorchcv.model_provider')
            model = provider.get_model(self.name, pretrained=False, **self.kwargs)
            # Theirs has the 7x7 kernel of 224 pixels, and takes no other size.
            model.features.final_pool = nn.AdaptiveAvgPool2d(1)
            return model
        efficientnet = import_module('efficientnet_pytorch').EfficientNet
        return efficientnet.from_name(self.name, **self.kwargs)


@dataclass(frozen=True)
class Row:
    """A network with what is known of it.

    Attributes:
        name: What readers call it.
        build: Config of our class, in its classifier form.
        params: Parameters, exact; counted on the authors' code or on the reference.
        macs: Multiply-accumulates of one image, as a decimal number with unit: '141.2M'.
        size: Side of that image in pixels.
        published: Parameters and multiply-adds as the paper prints them ('5.2M',
            '141M'); None where it prints none.
        reference: Independent implementation; None when no public one was found.
        note: What a reader should know, such as why a count differs from the paper's.
    """

    name: str
    build: dict
    params: int
    macs: str
    size: int = 224
    published: tuple[str | None, str | None] = (None, None)
    reference: Reference | None = None
    note: str = ''
