import copy

import pytest
import torch
import torch.distributed as dist
from mmcv import ops


@pytest.fixture
def one_process():
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def layers(**settings):
    """MMSyncBN and the BatchNorm it must equal, with the same random parameters."""
    plain = torch.nn.BatchNorm2d(3, affine=settings.get('affine', True))
    for parameter in plain.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1.5)
    synced = ops.SyncBatchNorm(3, **settings)
    synced.load_state_dict(plain.state_dict())
    return synced, plain


@pytest.mark.usefixtures('one_process')
@pytest.mark.parametrize('stats_mode', ['default', 'N'])
def test_sync_bn_of_one_process_equals_batch_norm(stats_mode):
    torch.manual_seed(0)
    synced, plain = layers(stats_mode=stats_mode)
    x = torch.randn(4, 3, 5, 6) * 2 + 1
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [layer(leaf) for layer, leaf in zip((synced, plain), leaves, strict=True)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad, rtol=1e-4, atol=1e-5)
    for name in ('weight', 'bias'):
        grads = [getattr(layer, name).grad for layer in (synced, plain)]
        torch.testing.assert_close(*grads)
    for name in ('running_mean', 'running_var'):
        torch.testing.assert_close(getattr(synced, name), getattr(plain, name))


@pytest.mark.usefixtures('one_process')
def test_sync_bn_without_affine_and_running_statistics():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, 6) * 2 + 1
    synced = ops.SyncBatchNorm(3, affine=False, track_running_stats=False)
    torch.testing.assert_close(synced(x), torch.nn.BatchNorm2d(3, affine=False)(x))


@pytest.mark.usefixtures('one_process')
def test_sync_bn_evaluates_like_batch_norm():
    synced, plain = (layer.eval() for layer in layers())
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(synced(x), plain(x))


@pytest.mark.usefixtures('one_process')
def test_sync_bn_leaves_its_statistics_alone_for_an_empty_batch():
    synced, _ = layers(stats_mode='N')
    before = copy.deepcopy(synced.running_var)
    assert synced(torch.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)
    assert torch.equal(synced.running_var, before)
