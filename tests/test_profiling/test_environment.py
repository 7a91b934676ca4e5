"""The environment of a result names what the numbers depend on."""

import json
import platform

import cv2
import pytest
import torch

import mmeff
from mmeff.profiling.environment import describe_environment, device_name
from mmeff.profiling.precision import torch_settings


def test_environment_names_versions_machine_and_backend():
    environment = describe_environment('cpu')
    assert environment['mmeff'] == mmeff.__version__
    assert environment['python'] == platform.python_version()
    assert torch.__version__.startswith(environment['packages']['torch'])
    assert environment['mmcv_backend'].startswith(('mmeff', 'mmcv'))
    assert environment['cpu_threads'] >= 1
    assert environment['cv2_threads'] == cv2.getNumThreads()
    assert environment['gpu'] is None
    assert environment['timestamp'].endswith('+00:00')
    assert json.loads(json.dumps(environment, allow_nan=False)) == environment


def test_environment_shows_the_threads_of_the_run():
    with torch_settings('fp32', threads=1):
        assert describe_environment('cpu')['torch_threads'] == 1


def test_commit_is_unknown_outside_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(mmeff, '__file__', str(tmp_path / 'mmeff' / '__init__.py'))
    assert describe_environment('cpu')['git_commit'] is None


def test_cpu_is_called_cpu():
    assert device_name('cpu') == 'cpu'


@pytest.mark.gpu
def test_environment_of_a_gpu_names_card_driver_and_flags():
    with torch_settings('fp32'):
        environment = describe_environment('cuda')
    assert environment['gpu'] == device_name('cuda') == torch.cuda.get_device_name()
    assert environment['driver']
    assert environment['cudnn'] == torch.backends.cudnn.version()
    assert environment['matmul_tf32'] is environment['cudnn_tf32'] is False
