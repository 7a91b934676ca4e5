"""Settings hold during a measurement and are restored after it."""

import pytest
import torch
from torch import nn

from mmeff.errors import UserError
from mmeff.profiling.precision import (
    PRECISIONS,
    autocast,
    check_precision,
    torch_settings,
)

CPU, CUDA = torch.device('cpu'), torch.device('cuda')


def _flags() -> tuple:
    backends = torch.backends
    return (
        backends.cuda.matmul.allow_tf32,
        backends.cudnn.allow_tf32,
        backends.cudnn.benchmark,
        torch.get_num_threads(),
    )


@pytest.mark.parametrize('precision', PRECISIONS)
def test_tensorfloat_is_on_in_tf32_alone(precision):
    tf32 = precision == 'tf32'
    with torch_settings(precision):
        assert _flags()[:3] == (tf32, tf32, True)


def _fail_in(settings) -> None:
    with settings:
        raise ZeroDivisionError


def test_settings_are_restored_even_after_an_error():
    before = _flags()
    threads = before[-1] + 1
    with torch_settings('tf32', threads):
        assert _flags() == (True, True, True, threads)
    assert _flags() == before
    with pytest.raises(ZeroDivisionError):
        _fail_in(torch_settings('tf32', threads))
    assert _flags() == before


@pytest.mark.parametrize(
    ('precision', 'dtype'), [('fp32', torch.float32), ('amp-bf16', torch.bfloat16)]
)
def test_autocast_follows_the_precision(precision, dtype):
    with torch.no_grad(), autocast(precision, CPU):
        assert nn.Conv2d(3, 4, 1)(torch.zeros(1, 3, 4, 4)).dtype == dtype


@pytest.mark.parametrize('precision', ['tf32', 'amp-fp16', 'int8'])
def test_precision_a_cpu_lacks_is_refused(precision):
    with pytest.raises(UserError, match=precision):
        check_precision(precision, CPU)


@pytest.mark.parametrize('precision', PRECISIONS)
def test_cuda_has_every_precision(precision):
    check_precision(precision, CUDA)


def test_no_threads_are_refused():
    with pytest.raises(UserError, match='threads=0'), torch_settings('fp32', 0):
        pass
