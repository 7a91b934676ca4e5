"""Operators find the module that runs them, whatever the model does in between."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from mmeff.profiling.counts import Operations, count_operations

X = torch.ones(1, 3, 4, 4)


def conv() -> nn.Conv2d:
    return nn.Conv2d(3, 3, 1)


def names(operations: Operations) -> list[str]:
    return [layer.name for layer in operations.layers]


class Model(nn.Module):
    """A model whose forward is a function of itself and the image."""

    def __init__(self, forward, **children: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def counted(forward, **children: nn.Module) -> Operations:
    model = Model(forward, **children)
    return count_operations(lambda: model(X), model)


def test_innermost_module_has_the_operator():
    found = counted(
        lambda model, x: model.last(model.stage(x).relu()),
        stage=nn.Sequential(conv(), nn.Sequential(conv(), nn.ReLU())),
        last=conv(),
    )
    assert names(found) == ['stage.0', 'stage.1.0', 'last']
    assert found.elementwise == {'stage.1.1': 2 * 3 * 16, '': 2 * 3 * 16}


def test_functional_convolution_belongs_to_the_module_that_calls_it():
    block = Model(lambda model, x: F.conv2d(model.conv(x), model.conv.weight))
    block.conv = conv()
    found = counted(lambda model, x: model.block(x), block=block)
    assert names(found) == ['block.conv', 'block']


def test_model_and_outside_have_no_name():
    model = Model(lambda model, x: F.conv2d(x, torch.ones(3, 3, 1, 1)))
    found = count_operations(lambda: F.relu(model(X)), model)
    assert names(found) == ['']
    assert set(found.elementwise) == {''}


def test_layers_of_a_forward_that_is_called_by_name_are_found():
    found = counted(lambda model, x: model.head.forward(x), head=nn.Sequential(conv()))
    assert names(found) == ['head.0']


def test_module_that_is_not_registered_belongs_to_its_caller():
    hidden = nn.Sequential(conv())
    stage = Model(lambda model, x: hidden(x))
    assert names(counted(lambda model, x: model.stage(x), stage=stage)) == ['stage']


def test_shared_module_has_its_first_name():
    shared = conv()
    found = counted(lambda model, x: model.b(model.a(x)), a=shared, b=shared)
    assert names(found) == ['a']
    assert found.layers[0].calls == 2


def test_module_that_calls_itself_is_left_as_often():
    class Recursive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv()

        def forward(self, x: Tensor, depth: int = 0) -> Tensor:
            x = self(x, depth + 1) if depth < 2 else self.conv(x)
            return x.relu()

    found = counted(lambda model, x: model.inner(x).relu(), inner=Recursive())
    # each of the three levels has its ReLU
    assert found.elementwise == {'inner': 3 * (2 * 3 * 16), '': 2 * 3 * 16}


def test_error_that_the_model_catches_does_not_shift_names():
    def fail(model, x):
        model.conv(x)
        raise RuntimeError('no such size')

    def forward(model, x):
        try:
            model.outer(x)
        except RuntimeError:
            x = model.other(x)
        return x.relu()

    inner = Model(fail, conv=conv())
    found = counted(forward, outer=nn.Sequential(inner), other=conv())
    assert names(found) == ['outer.0.conv', 'other']
    assert set(found.elementwise) == {''}


def test_nothing_is_left_behind_by_an_error():
    def fail(model, x):
        raise RuntimeError('broken')

    before = len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks)
    with pytest.raises(RuntimeError, match='broken'):
        counted(fail)
    after = len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks)
    assert before == after
    assert torch.backends.mha.get_fastpath_enabled()
    assert names(counted(lambda model, x: model.a(x), a=conv())) == ['a']


def test_without_a_model_there_are_no_names():
    net = nn.Sequential(conv())
    assert names(count_operations(lambda: net(X))) == ['']


@pytest.mark.filterwarnings('ignore:.*torch.jit.script:FutureWarning')
def test_scripted_part_is_counted():
    scripted = torch.jit.script(nn.Sequential(conv(), nn.ReLU()))
    found = counted(lambda model, x: model.part(x), part=scripted)
    assert len(found.layers) == 1
    assert found.layers[0].name.startswith('part')
